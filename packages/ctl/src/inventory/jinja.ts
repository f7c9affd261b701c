/**
 * Templates: the one door to our Jinja2 engine (`jinja/`). Why an engine of our own: `docs/adr/0003-jinja.md`.
 *
 * It renders as Ansible's `template` module does, since that is what operators expect: `trim_blocks` on, `lstrip_blocks` off, a
 * none prints as nothing, and the newlines at the end of the template stay. One difference, on purpose: undefined is strict all
 * the way, so an attribute of something undefined is an error even under `default()` — a typo must not pass as "not set".
 */
import { Scope, type Variables } from "./jinja/evaluate.ts";
import { Executor, type Parsed } from "./jinja/execute.ts";
import { GLOBALS } from "./jinja/globals.ts";
import { parse } from "./jinja/parser.ts";
import { TemplateError, Undefined, type Value } from "./jinja/value.ts";
import type { Place } from "./problem.ts";

export {
  type Dict,
  Float,
  LazyDict,
  Reference,
  referenceMessage,
  str,
  TemplateError,
  typeName,
  Undefined,
  type Value,
} from "./jinja/value.ts";
export type { Variables };

/** A text with templates in it, and where it stands. */
export interface TemplateSource {
  readonly text: string;
  /** The place of an offset of `text`. */
  locate(offset: number): Place;
}

export interface Fault extends Place {
  readonly message: string;
}

export interface Rendered<T> {
  /** Null if there are faults. */
  readonly value: T | null;
  readonly faults: readonly Fault[];
}

/** The source of a whole file. */
export function fileSource(file: string, content: string): TemplateSource {
  const text = content.replace(/\r\n?/g, "\n");
  return {
    text,
    locate: (offset) => {
      const before = text.slice(0, offset);
      const start = before.lastIndexOf("\n") + 1;
      return { file, line: before.split("\n").length, column: offset - start + 1 };
    },
  };
}

/** True if a text has anything to render in it. */
export function isTemplate(text: string): boolean {
  return /\{[{%#]/.test(text);
}

/** Parses each template once for all hosts. One engine serves one reading of a folder. */
export class TemplateEngine {
  private readonly parsed = new Map<TemplateSource, Parsed | TemplateError>();
  private readonly find: (name: string) => TemplateSource | undefined;

  /** `find` gives the template of that name below templates/, for include, import and extends. */
  constructor(find: (name: string) => TemplateSource | undefined) {
    this.find = find;
  }

  /** The text of a template for one host. */
  render(source: TemplateSource, variables: Variables): Rendered<string> {
    return this.run(source, variables, (template, executor) => text(source, template, executor));
  }

  /** The value of a string in a YAML file: one that is wholly `{{ … }}` keeps its type, as in Ansible. */
  value(source: TemplateSource, variables: Variables): Rendered<Value> {
    return this.run<Value>(source, variables, (template, executor) => {
      const [only, ...rest] = template.statements;
      if (only?.t !== "output" || rest.length > 0) return text(source, template, executor);
      const value = executor.evaluate(only.of, new Scope(null));
      if (value instanceof Undefined) {
        const origin = value.origin ?? { pos: only.pos, source };
        throw new TemplateError(value.message, origin.pos, origin.source);
      }
      return value;
    });
  }

  private run<T>(
    source: TemplateSource,
    host: Variables,
    work: (template: Parsed, executor: Executor) => T,
  ): Rendered<T> {
    const variables: Variables = {
      get: (name) => {
        const value = host.get(name);
        return value === undefined ? GLOBALS.get(name) : value;
      },
      names: () => [...host.names(), ...GLOBALS.keys()],
    };
    const executor = new Executor(variables, (name) => this.named(name), source);
    const errors: TemplateError[] = executor.errors;
    let value: T | null = null;
    try {
      value = work(this.parse(source), executor);
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      errors.push(error);
    }
    const faults = errors.map((error) => {
      const of = isSource(error.source) ? error.source : source;
      return { ...of.locate(error.pos), message: error.message };
    });
    return { value: faults.length > 0 ? null : value, faults };
  }

  private named(name: string): Parsed | undefined {
    const source = this.find(name);
    return source === undefined ? undefined : this.parse(source);
  }

  private parse(source: TemplateSource): Parsed {
    let parsed = this.parsed.get(source);
    if (parsed === undefined) {
      try {
        parsed = { source, statements: parse(source.text.replace(/\n$/, "")) };
      } catch (error) {
        if (!(error instanceof TemplateError)) throw error;
        parsed = new TemplateError(error.message, error.pos, source);
      }
      this.parsed.set(source, parsed);
    }
    if (parsed instanceof TemplateError) throw parsed;
    return parsed;
  }
}

/** Jinja2 drops the last newline; Ansible puts back as many as the template ends with, and so does this. */
function text(source: TemplateSource, template: Parsed, executor: Executor): string {
  const rendered = executor.render(template);
  const newlines = (of: string) => /\n*$/.exec(of)?.[0].length ?? 0;
  return rendered + "\n".repeat(Math.max(0, newlines(source.text) - newlines(rendered)));
}

function isSource(value: object | null): value is TemplateSource {
  return value !== null && "locate" in value;
}
