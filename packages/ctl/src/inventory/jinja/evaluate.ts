/**
 * Expression tree → value. Undefined follows Jinja2's StrictUndefined: a missing name may be tested with `is defined`, replaced by
 * `default()` or passed on; printing, looping, comparing, calculating, judging it, or taking an attribute of it is an error.
 */
import { suggest } from "../problem.ts";
import type { Argument, Expr, FilterExpr } from "./ast.ts";
import { FILTER_NAMES, type FilterCall, filter } from "./filters.ts";
import { attribute, binary, compare, item, negate, slice } from "./operators.ts";
import { TEST_NAMES, test } from "./tests.ts";
import {
  Attributes,
  type CallArguments,
  Callable,
  demand,
  dictKey,
  Float,
  iterate,
  str,
  TemplateError,
  truthy,
  tuple,
  typeName,
  Undefined,
  type Value,
  ValueError,
} from "./value.ts";

/** Names set in a template, innermost first; what no scope knows is a variable of the host. */
export class Scope {
  readonly values = new Map<string, Value>();
  readonly parent: Scope | null;
  constructor(parent: Scope | null) {
    this.parent = parent;
  }

  find(name: string): Value | undefined {
    for (let scope: Scope | null = this; scope !== null; scope = scope.parent) {
      const found = scope.values.get(name);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  *names(): Generator<string> {
    for (let scope: Scope | null = this; scope !== null; scope = scope.parent) yield* scope.values.keys();
  }
}

/** What a template may read: the variables of one host and the functions of `globals.ts`. */
export interface Variables {
  get(name: string): Value | undefined;
  names(): Iterable<string>;
}

/** One template may take this many evaluation steps (about a second); a loop over loops over loops is stopped. */
const MAX_STEPS = 3_000_000;
/** An expression such as `a + b + …` of more parts than this is refused: the walk recurses. */
const MAX_PARTS = 1_000;

/** The source form of a path, for messages: `sessions.upstream.as`. */
function pathText(node: Expr): string {
  if (node.t === "name") return node.name;
  if (node.t === "attr") return `${pathText(node.of)}.${node.name}`;
  if (node.t === "item" && node.key.t === "const")
    return `${pathText(node.of)}[${JSON.stringify(node.key.value)}]`;
  if (node.t === "item") return `${pathText(node.of)}[${pathText(node.key)}]`;
  return node.t === "call" ? `${pathText(node.of)}(…)` : "…";
}

/** Evaluates expressions of the template `source` (an identity only: it says which file an offset belongs to). */
export class Evaluator {
  protected readonly variables: Variables;
  protected source: object;
  private steps = 0;
  private level = 0;

  constructor(variables: Variables, source: object) {
    this.variables = variables;
    this.source = source;
  }

  /** Runs one operation and gives its ValueError the offset `pos`. */
  protected at<T>(pos: number, run: () => T): T {
    try {
      return run();
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      const origin = error.origin ?? { pos, source: this.source };
      throw new TemplateError(error.message, origin.pos, origin.source);
    }
  }

  protected step(pos: number): void {
    this.steps += 1;
    if (this.steps === MAX_STEPS)
      throw new TemplateError("this template takes too many steps: a loop too large?", pos);
    if (this.steps > MAX_STEPS) throw new TemplateError("too many steps", pos);
  }

  protected get exhausted(): boolean {
    return this.steps >= MAX_STEPS;
  }

  private found(value: Value, pos: number): Value {
    if (value instanceof Undefined) value.origin ??= { pos, source: this.source };
    return value;
  }

  evaluate(node: Expr, scope: Scope): Value {
    this.step(node.pos);
    if (this.level >= MAX_PARTS)
      throw new TemplateError(`an expression has over ${MAX_PARTS} parts`, node.pos);
    this.level += 1;
    try {
      return this.walk(node, scope);
    } finally {
      this.level -= 1;
    }
  }

  private walk(node: Expr, scope: Scope): Value {
    switch (node.t) {
      case "const":
        return node.float === true && typeof node.value === "number" ? new Float(node.value) : node.value;
      case "name": {
        const own = scope.find(node.name);
        const value = own === undefined ? this.variables.get(node.name) : own;
        if (value !== undefined) return value;
        const hint = suggest(node.name, [...scope.names(), ...this.variables.names()]);
        return this.found(new Undefined(`\`${node.name}\` is undefined${hint}`), node.pos);
      }
      case "list": {
        const items = node.items.map((of) => this.evaluate(of, scope));
        return node.tuple ? tuple(...items) : items;
      }
      case "dict":
        return new Map(
          node.items.map(({ key, value }) => [
            this.at(key.pos, () => dictKey(this.evaluate(key, scope))),
            this.evaluate(value, scope),
          ]),
        );
      case "unary": {
        const of = this.evaluate(node.of, scope);
        if (node.op === "not") return !this.judge(of, node.of.pos);
        return this.at(node.pos, () => negate(node.op === "-" ? "-" : "+", of));
      }
      case "logic": {
        const left = this.evaluate(node.left, scope);
        const decided = this.judge(left, node.left.pos) === (node.op === "or");
        return decided ? left : this.evaluate(node.right, scope);
      }
      case "binary": {
        const left = this.evaluate(node.left, scope);
        const right = this.evaluate(node.right, scope);
        return this.at(node.pos, () => binary(node.op, left, right));
      }
      case "compare": {
        let left = this.evaluate(node.first, scope);
        for (const { op, of } of node.rest) {
          const right = this.evaluate(of, scope);
          const before = left;
          if (!this.at(of.pos, () => compare(op, before, right))) return false;
          left = right;
        }
        return true;
      }
      case "cond":
        if (this.judge(this.evaluate(node.test, scope), node.test.pos)) return this.evaluate(node.yes, scope);
        if (node.no !== null) return this.evaluate(node.no, scope);
        // As in Jinja2: an `if` without `else` is nothing, not an error.
        return "";
      case "attr": {
        const of = this.evaluate(node.of, scope);
        return this.found(
          this.at(node.of.pos, () => attribute(of, node.name, pathText(node))),
          node.pos,
        );
      }
      case "item": {
        const of = this.evaluate(node.of, scope);
        const key = this.evaluate(node.key, scope);
        return this.found(
          this.at(node.key.pos, () => item(of, key, pathText(node))),
          node.pos,
        );
      }
      case "slice": {
        const of = this.evaluate(node.of, scope);
        const parts = node.parts.map((part) => (part === null ? null : this.evaluate(part, scope)));
        return this.at(node.pos, () => slice(of, parts));
      }
      case "call": {
        const called = this.evaluate(node.of, scope);
        const args = this.arguments(node.args, scope);
        return this.found(
          this.at(node.pos, () => this.call(called, args)),
          node.pos,
        );
      }
      case "filter":
        return this.applyFilter(node, scope, null);
      case "test": {
        const of = this.evaluate(node.of, scope);
        const { positional } = this.arguments(node.args, scope);
        return this.at(node.pos, () => this.runTest(node.name, of, positional));
      }
    }
  }

  /** A filter chain that works on `input` where it has no value of its own. */
  protected applyFilter(node: FilterExpr, scope: Scope, input: Value | null): Value {
    let of: Value = input;
    if (node.of !== null && node.of.t === "filter") of = this.applyFilter(node.of, scope, input);
    else if (node.of !== null) of = this.evaluate(node.of, scope);
    const args = this.arguments(node.args, scope);
    return this.found(
      this.at(node.pos, () => this.runFilter(node.name, of, args)),
      node.pos,
    );
  }

  private judge(value: Value, pos: number): boolean {
    return this.at(pos, () => truthy(value));
  }

  protected truth(node: Expr, scope: Scope): boolean {
    return this.judge(this.evaluate(node, scope), node.pos);
  }

  protected call(called: Value, args: CallArguments): Value {
    const known = demand(called);
    if (known instanceof Callable) return known.call(args);
    const inner = known instanceof Attributes ? known.values.get("__call__") : undefined;
    if (inner instanceof Callable) return inner.call(args);
    throw new ValueError(`${typeName(known)} cannot be called`);
  }

  protected arguments(args: readonly Argument[], scope: Scope): CallArguments {
    const positional: Value[] = [];
    const named = new Map<string, Value>();
    for (const arg of args) {
      const value = this.evaluate(arg.value, scope);
      if (arg.spread === "*") positional.push(...this.at(arg.value.pos, () => iterate(value)));
      else if (arg.spread === "**") {
        if (!(value instanceof Map)) throw new TemplateError("`**` wants a map", arg.value.pos);
        for (const [key, of] of value) named.set(str(key), of);
      } else if (arg.name !== null) named.set(arg.name, value);
      else positional.push(value);
    }
    return { positional, named };
  }

  private runTest(name: string, value: Value, args: readonly Value[]): boolean {
    const found = test(name);
    if (found === undefined) throw new ValueError(`unknown test \`${name}\`${suggest(name, TEST_NAMES)}`);
    return found(value, args);
  }

  private runFilter(name: string, value: Value, { positional, named }: CallArguments): Value {
    const found = filter(name);
    if (found === undefined) throw new ValueError(`unknown filter \`${name}\`${suggest(name, FILTER_NAMES)}`);
    const call: FilterCall = {
      positional,
      named,
      arg: (index, key, fallback) => {
        for (const given of [positional[index], named.get(key), fallback])
          if (given !== undefined) return given;
        throw new ValueError(`\`${name}\` wants the argument \`${key}\``);
      },
      filter: (other, of, args, keys) => this.runFilter(other, of, { positional: args, named: keys }),
      test: (other, of, args) => this.runTest(other, of, args),
    };
    return found(value, call);
  }
}
