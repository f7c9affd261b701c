/**
 * Statement tree → text. An error in one statement is noted and the next one runs, so that one run names every undefined name of
 * a template; the text is worthless then and the caller throws it away.
 */
import type { ForStatement, MacroStatement, Statement, Target } from "./ast.ts";
import { Evaluator, Scope, type Variables } from "./evaluate.ts";
import {
  Attributes,
  type CallArguments,
  Callable,
  iterate,
  str,
  TemplateError,
  tuple,
  Undefined,
  type Value,
  ValueError,
} from "./value.ts";

/** A parsed template; `source` is its identity in errors. */
export interface Parsed {
  readonly source: object;
  readonly statements: readonly Statement[];
}

/** Finds a template by name for include, import and extends; throws TemplateError if the template cannot be parsed. */
export type Load = (name: string) => Parsed | undefined;

/** Rendered text may be as long as a file of the folder may be. */
const MAX_OUTPUT = 1 << 20;
/** Macros and includes may nest this deep. */
const MAX_DEPTH = 60;
/** Errors of one template on one host: enough to see the pattern. */
const MAX_ERRORS = 50;

interface Blocks {
  readonly chain: Map<string, { body: readonly Statement[]; source: object }[]>;
  parent: Parsed | null;
}

/** Renders one template with everything it includes. */
export class Executor extends Evaluator {
  readonly errors: TemplateError[] = [];
  private readonly load: Load;
  private depth = 0;
  private length = 0;

  constructor(variables: Variables, load: Load, source: object) {
    super(variables, source);
    this.load = load;
  }

  /** The text of a template, or worthless text and `errors`. */
  render(template: Parsed, scope = new Scope(null)): string {
    const out: string[] = [];
    this.template(template, scope, out, { chain: new Map(), parent: null });
    return out.join("");
  }

  private template(template: Parsed, scope: Scope, out: string[], blocks: Blocks): void {
    this.inside(template.source, () => {
      collectBlocks(template.statements, template.source, blocks);
      const text: string[] = [];
      this.run(template.statements, scope, text, blocks);
      const parent = blocks.parent;
      if (parent === null) out.push(...text);
      else {
        blocks.parent = null;
        this.template(parent, scope, out, blocks);
      }
    });
  }

  /** Runs `work` with offsets belonging to `source`, one level deeper. */
  private inside<T>(source: object, work: () => T): T {
    if (this.depth >= MAX_DEPTH) throw new ValueError("macros or includes call each other without end");
    const before = this.source;
    this.source = source;
    this.depth += 1;
    try {
      return work();
    } finally {
      this.source = before;
      this.depth -= 1;
    }
  }

  private run(statements: readonly Statement[], scope: Scope, out: string[], blocks: Blocks): void {
    for (const statement of statements) {
      if (this.exhausted && this.errors.length > 0) return;
      try {
        this.step(statement.pos);
        this.at(statement.pos, () => this.statement(statement, scope, out, blocks));
      } catch (error) {
        if (!(error instanceof TemplateError)) throw error;
        if (this.errors.length < MAX_ERRORS)
          this.errors.push(
            error.source === null ? new TemplateError(error.message, error.pos, this.source) : error,
          );
      }
    }
  }

  private write(text: string, out: string[]): void {
    this.length += text.length;
    if (this.length > MAX_OUTPUT) throw new ValueError(`the rendered text is over ${MAX_OUTPUT} characters`);
    out.push(text);
  }

  private statement(node: Statement, scope: Scope, out: string[], blocks: Blocks): void {
    switch (node.t) {
      case "text":
        this.write(node.text, out);
        return;
      case "output": {
        const value = this.evaluate(node.of, scope);
        // Ansible prints none as nothing, plain Jinja2 prints "None".
        this.write(value === null ? "" : this.at(node.pos, () => str(value)), out);
        return;
      }
      case "if": {
        const branch = node.branches.find(({ test }) => this.truth(test, scope));
        this.run(branch?.body ?? node.otherwise, scope, out, blocks);
        return;
      }
      case "for":
        this.loop(node, this.evaluate(node.over, scope), scope, out, blocks, 0);
        return;
      case "set":
        this.assign(node.target, this.evaluate(node.value, scope), scope);
        return;
      case "setblock": {
        const text = this.capture(node.body, new Scope(scope), blocks);
        this.assign(
          node.target,
          node.filter === null ? text : this.applyFilter(node.filter, scope, text),
          scope,
        );
        return;
      }
      case "filterblock": {
        const text = this.capture(node.body, new Scope(scope), blocks);
        this.write(str(this.applyFilter(node.filter, scope, text)), out);
        return;
      }
      case "macro":
        scope.values.set(node.name, this.macro(node, scope));
        return;
      case "callblock": {
        const args = this.arguments(node.call.args, scope);
        const named = new Map([...args.named, ["caller", this.macro(node.caller, scope)] as const]);
        const called = this.evaluate(node.call.of, scope);
        this.write(str(this.at(node.call.pos, () => this.call(called, { ...args, named }))), out);
        return;
      }
      case "with": {
        const inner = new Scope(scope);
        for (const { target, value } of node.binds) this.assign(target, this.evaluate(value, scope), inner);
        this.run(node.body, inner, out, blocks);
        return;
      }
      case "include": {
        const found = this.find(this.evaluate(node.from, scope), node.optional);
        if (found !== null)
          this.template(found, new Scope(node.context ? scope : null), out, {
            chain: new Map(),
            parent: null,
          });
        return;
      }
      case "import":
        scope.values.set(node.as, this.module(this.evaluate(node.from, scope), node.context ? scope : null));
        return;
      case "from": {
        const module = this.module(this.evaluate(node.from, scope), node.context ? scope : null);
        for (const { name, as } of node.names) {
          const value = module.values.get(name);
          if (value === undefined)
            throw new TemplateError(`the imported template has no \`${name}\``, node.pos);
          scope.values.set(as, value);
        }
        return;
      }
      case "extends":
        if (blocks.parent !== null) throw new TemplateError("a template can extend one other only", node.pos);
        blocks.parent = this.find(this.evaluate(node.from, scope), false);
        return;
      case "block":
        this.block(node.name, 0, scope, out, blocks);
        return;
    }
  }

  private capture(body: readonly Statement[], scope: Scope, blocks: Blocks): string {
    const out: string[] = [];
    this.run(body, scope, out, blocks);
    return out.join("");
  }

  private find(name: Value, optional: boolean): Parsed | null {
    for (const candidate of Array.isArray(name) ? name : [name]) {
      const found = this.load(str(candidate));
      if (found !== undefined) return found;
    }
    if (optional) return null;
    throw new ValueError(`no template \`${str(name)}\` in templates/`);
  }

  private module(name: Value, parent: Scope | null): Attributes {
    const found = this.find(name, false);
    const scope = new Scope(parent);
    if (found !== null) this.template(found, scope, [], { chain: new Map(), parent: null });
    return new Attributes("an imported template", scope.values);
  }

  private block(name: string, level: number, scope: Scope, out: string[], blocks: Blocks): void {
    const found = blocks.chain.get(name)?.[level];
    if (found === undefined || blocks.parent !== null) return;
    const inner = new Scope(scope);
    const above = new Callable("super", () => {
      const text: string[] = [];
      this.block(name, level + 1, scope, text, blocks);
      return text.join("");
    });
    inner.values.set("super", above);
    this.inside(found.source, () => this.run(found.body, inner, out, blocks));
  }

  private assign(target: Target, value: Value, scope: Scope): void {
    if (target.t === "name") scope.values.set(target.name, value);
    else if (target.t === "attr") {
      const namespace = scope.find(target.of);
      if (!(namespace instanceof Attributes && namespace.writable))
        throw new TemplateError(
          `\`${target.of}\` is not a namespace(): only its attributes can be set`,
          target.pos,
        );
      namespace.values.set(target.name, value);
    } else {
      const items = this.at(target.pos, () => iterate(value));
      if (items.length !== target.items.length)
        throw new TemplateError(`${target.items.length} names for ${items.length} values`, target.pos);
      for (const [i, of] of target.items.entries()) this.assign(of, items[i] ?? null, scope);
    }
  }

  private loop(
    node: ForStatement,
    over: Value,
    scope: Scope,
    out: string[],
    blocks: Blocks,
    level: number,
  ): void {
    let items = this.at(node.over.pos, () => iterate(over));
    const test = node.test;
    if (test !== null)
      items = items.filter((item) => {
        const inner = new Scope(scope);
        this.assign(node.target, item, inner);
        return this.truth(test, inner);
      });
    let last: Value[] | null = null;
    const changed = new Callable("changed", ({ positional }) => {
      const same =
        last !== null && last.length === positional.length && last.every((of, i) => of === positional[i]);
      last = [...positional];
      return !same;
    });
    for (const [i, item] of items.entries()) {
      const inner = new Scope(scope);
      const cycle = ({ positional }: CallArguments) => positional[i % positional.length] ?? null;
      const values: [string, Value][] = [
        ["index", i + 1],
        ["index0", i],
        ["revindex", items.length - i],
        ["revindex0", items.length - i - 1],
        ["first", i === 0],
        ["last", i === items.length - 1],
        ["length", items.length],
        ["depth", level + 1],
        ["depth0", level],
        ["previtem", i > 0 ? (items[i - 1] ?? null) : new Undefined("there is no item before the first")],
        [
          "nextitem",
          i + 1 < items.length ? (items[i + 1] ?? null) : new Undefined("there is no item after the last"),
        ],
        ["cycle", new Callable("cycle", cycle)],
        ["changed", changed],
      ];
      if (node.recursive) {
        const again = ({ positional }: CallArguments) => {
          const text: string[] = [];
          this.inside(this.source, () =>
            this.loop(node, positional[0] ?? null, scope, text, blocks, level + 1),
          );
          return text.join("");
        };
        values.push(["__call__", new Callable("loop", again)]);
      }
      inner.values.set("loop", new Attributes("the loop", new Map(values)));
      this.assign(node.target, item, inner);
      this.run(node.body, inner, out, blocks);
    }
    if (items.length === 0) this.run(node.otherwise, new Scope(scope), out, blocks);
  }

  private macro(node: MacroStatement, scope: Scope): Callable {
    const source = this.source;
    const body = JSON.stringify(node.body);
    const catches = (name: string) =>
      body.includes(`"t":"name","pos":`) && new RegExp(`"name":"${name}"`).test(body);
    return new Callable(node.name, (args) =>
      this.inside(source, () => {
        const inner = new Scope(scope);
        const named = new Map(args.named);
        const caller = named.get("caller");
        named.delete("caller");
        for (const [i, { name, fallback }] of node.parameters.entries()) {
          const given = args.positional[i] === undefined ? named.get(name) : args.positional[i];
          const missing = new Undefined(`\`${node.name}\` was called without \`${name}\``);
          named.delete(name);
          if (given !== undefined) inner.values.set(name, given);
          else inner.values.set(name, fallback === null ? missing : this.evaluate(fallback, inner));
        }
        const more = args.positional.slice(node.parameters.length);
        if (more.length > 0 && !catches("varargs"))
          throw new ValueError(
            `\`${node.name}\` takes ${node.parameters.length} arguments, not ${args.positional.length}`,
          );
        const [unknown] = named.keys();
        if (unknown !== undefined && !catches("kwargs"))
          throw new ValueError(`\`${node.name}\` has no parameter \`${unknown}\``);
        inner.values.set("varargs", tuple(...more));
        inner.values.set("kwargs", new Map<Value, Value>(named));
        if (caller !== undefined) inner.values.set("caller", caller);
        return this.capture(node.body, inner, { chain: new Map(), parent: null });
      }),
    );
  }
}

/** Blocks of a template, those of the most derived one first. */
function collectBlocks(statements: readonly Statement[], source: object, blocks: Blocks): void {
  for (const node of statements) {
    if (node.t === "block") {
      blocks.chain.set(node.name, [...(blocks.chain.get(node.name) ?? []), { body: node.body, source }]);
      collectBlocks(node.body, source, blocks);
    } else if (node.t === "if") {
      for (const branch of node.branches) collectBlocks(branch.body, source, blocks);
      collectBlocks(node.otherwise, source, blocks);
    } else if (node.t === "for" || node.t === "with" || node.t === "filterblock")
      collectBlocks(node.body, source, blocks);
  }
}
