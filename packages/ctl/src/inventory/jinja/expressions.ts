/**
 * Tokens → expression tree, in the grammar and precedence of `jinja2/parser.py` 3.1: condition, or, and, not, comparison,
 * `+ -`, `~`, `* / // %`, `**`, sign, then `.x [x] (…)` and `|filter`, `is test`.
 */
import type { Argument, BinaryOperator, Comparison, Expr, FilterExpr } from "./ast.ts";
import type { Token } from "./lexer.ts";
import { TemplateError } from "./value.ts";

/** Deeper nesting than this is refused: a parser that recurses must not end in a stack overflow. */
const MAX_DEPTH = 100;
const COMPARISONS = new Set(["==", "!=", "<", "<=", ">", ">="]);

function described(token: Token): string {
  if (token.type === "eof") return "the end of the template";
  if (token.type === "end") return `the end of the tag \`${token.value}\``;
  return `\`${token.value}\``;
}

/** Reads expressions from a token list; `StatementParser` builds on it. */
export class ExpressionParser {
  protected readonly tokens: readonly Token[];
  protected at = 0;
  private level = 0;

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  protected peek(ahead = 0): Token {
    const token = this.tokens[Math.min(this.at + ahead, this.tokens.length - 1)];
    if (token === undefined) throw new Error("a token list always ends with eof");
    return token;
  }

  protected next(): Token {
    const token = this.peek();
    this.at += 1;
    return token;
  }

  protected is(type: Token["type"], value?: string, ahead = 0): boolean {
    const token = this.peek(ahead);
    return token.type === type && (value === undefined || token.value === value);
  }

  protected skip(type: Token["type"], value: string): boolean {
    const found = this.is(type, value);
    if (found) this.at += 1;
    return found;
  }

  protected expect(type: Token["type"], value?: string): Token {
    if (!this.is(type, value)) {
      const wanted = value === undefined ? `a ${type}` : `\`${value}\``;
      throw new TemplateError(`expected ${wanted}, found ${described(this.peek())}`, this.peek().pos);
    }
    return this.next();
  }

  /** One expression; `withCondition: false` leaves an `if` behind it to the caller (as in `{% for … if … %}`). */
  expression(withCondition = true): Expr {
    if (!withCondition) return this.or();
    let left = this.or();
    while (this.skip("name", "if")) {
      const test = this.or();
      const no = this.skip("name", "else") ? this.expression() : null;
      left = { t: "cond", pos: left.pos, test, yes: left, no };
    }
    return left;
  }

  /** An expression, or a tuple if commas follow; `stop` is a name that ends it. */
  tuple(withCondition = true, stop: string | null = null, inParentheses = false): Expr {
    const pos = this.peek().pos;
    const items: Expr[] = [];
    let isTuple = false;
    while (!(this.is("end") || this.is("op", ")") || (stop !== null && this.is("name", stop)))) {
      items.push(this.expression(withCondition));
      if (!this.skip("op", ",")) break;
      isTuple = true;
    }
    const first = items[0];
    if (!isTuple && first !== undefined) return first;
    if (!isTuple && !inParentheses)
      throw new TemplateError(`expected an expression, found ${described(this.peek())}`, this.peek().pos);
    return { t: "list", pos, items, tuple: true };
  }

  private or(): Expr {
    let left = this.and();
    while (this.skip("name", "or")) left = { t: "logic", pos: left.pos, op: "or", left, right: this.and() };
    return left;
  }

  private and(): Expr {
    let left = this.not();
    while (this.skip("name", "and")) left = { t: "logic", pos: left.pos, op: "and", left, right: this.not() };
    return left;
  }

  /** Every way into a nested expression leads through `not` or a sign; both count their depth here. */
  private nested<T>(read: () => T): T {
    this.level += 1;
    if (this.level > MAX_DEPTH)
      throw new TemplateError(`an expression is nested deeper than ${MAX_DEPTH}`, this.peek().pos);
    const node = read();
    this.level -= 1;
    return node;
  }

  private not(): Expr {
    const pos = this.peek().pos;
    return this.nested(() =>
      this.skip("name", "not") ? { t: "unary", pos, op: "not", of: this.not() } : this.comparison(),
    );
  }

  private comparison(): Expr {
    const first = this.binary(0);
    const rest: { op: Comparison; of: Expr }[] = [];
    for (;;) {
      const token = this.peek();
      let op: Comparison | null = null;
      if (token.type === "op" && COMPARISONS.has(token.value)) op = token.value as Comparison;
      else if (this.is("name", "in")) op = "in";
      else if (this.is("name", "not") && this.is("name", "in", 1)) op = "not in";
      if (op === null) break;
      this.at += op === "not in" ? 2 : 1;
      rest.push({ op, of: this.binary(0) });
    }
    return rest.length === 0 ? first : { t: "compare", pos: first.pos, first, rest };
  }

  private binary(level: number): Expr {
    const operators = [["+", "-"], ["~"], ["*", "/", "//", "%"], ["**"]][level];
    if (operators === undefined) return this.unary(true);
    let left = this.binary(level + 1);
    while (this.peek().type === "op" && operators.includes(this.peek().value)) {
      const op = this.next().value as BinaryOperator;
      left = { t: "binary", pos: left.pos, op, left, right: this.binary(level + 1) };
    }
    return left;
  }

  private unary(withFilter: boolean): Expr {
    const token = this.peek();
    let node: Expr;
    if (token.type === "op" && (token.value === "-" || token.value === "+")) {
      this.at += 1;
      node = { t: "unary", pos: token.pos, op: token.value, of: this.nested(() => this.unary(false)) };
    } else node = this.primary();
    node = this.postfix(node);
    if (!withFilter) return node;
    for (;;) {
      if (this.is("op", "|")) node = this.filters(node);
      else if (this.is("name", "is")) node = this.testExpr(node);
      else if (this.is("op", "(")) node = { t: "call", pos: node.pos, of: node, args: this.args() };
      else return node;
    }
  }

  protected primary(): Expr {
    const token = this.next();
    const pos = token.pos;
    if (token.type === "name") {
      if (/^(?:[tT]rue|[fF]alse)$/.test(token.value))
        return { t: "const", pos, value: token.value.toLowerCase() === "true" };
      if (/^[nN]one$/.test(token.value)) return { t: "const", pos, value: null };
      return { t: "name", pos, name: token.value };
    }
    if (token.type === "string") {
      let value = token.value;
      while (this.is("string")) value += this.next().value;
      return { t: "const", pos, value };
    }
    if (token.type === "int") return { t: "const", pos, value: Number(token.value) };
    if (token.type === "float") return { t: "const", pos, value: Number(token.value), float: true };
    if (token.type === "op" && token.value === "(") {
      const node = this.tuple(true, null, true);
      this.expect("op", ")");
      return node;
    }
    if (token.type === "op" && token.value === "[") {
      const items: Expr[] = [];
      while (!this.is("op", "]")) {
        items.push(this.expression());
        if (!this.skip("op", ",")) break;
      }
      this.expect("op", "]");
      return { t: "list", pos, items, tuple: false };
    }
    if (token.type === "op" && token.value === "{") {
      const items: { key: Expr; value: Expr }[] = [];
      while (!this.is("op", "}")) {
        const key = this.expression();
        this.expect("op", ":");
        items.push({ key, value: this.expression() });
        if (!this.skip("op", ",")) break;
      }
      this.expect("op", "}");
      return { t: "dict", pos, items };
    }
    throw new TemplateError(`expected an expression, found ${described(token)}`, pos);
  }

  protected postfix(start: Expr): Expr {
    let node = start;
    for (;;) {
      if (this.skip("op", ".")) {
        const token = this.next();
        if (token.type === "name") node = { t: "attr", pos: token.pos, of: node, name: token.value };
        else if (token.type === "int") {
          const key: Expr = { t: "const", pos: token.pos, value: Number(token.value) };
          node = { t: "item", pos: token.pos, of: node, key };
        } else throw new TemplateError(`expected a name after the dot, found ${described(token)}`, token.pos);
      } else if (this.skip("op", "[")) {
        node = this.subscript(node);
      } else if (this.is("op", "(")) {
        node = { t: "call", pos: node.pos, of: node, args: this.args() };
      } else return node;
    }
  }

  private subscript(of: Expr): Expr {
    const pos = this.peek().pos;
    const parts: (Expr | null)[] = [];
    let colons = 0;
    let current: Expr | null = null;
    while (!this.is("op", "]")) {
      if (this.skip("op", ":")) {
        parts.push(current);
        current = null;
        colons += 1;
        if (colons > 2) throw new TemplateError("a slice has at most two colons", pos);
      } else if (current === null) current = this.expression();
      else break;
    }
    this.expect("op", "]");
    if (colons > 0) return { t: "slice", pos, of, parts: [...parts, current] };
    if (current === null) throw new TemplateError("expected a key between the brackets", pos);
    return { t: "item", pos, of, key: current };
  }

  protected args(): Argument[] {
    this.expect("op", "(");
    const args: Argument[] = [];
    while (!this.is("op", ")")) {
      const pos = this.peek().pos;
      if (this.skip("op", "*")) args.push({ name: null, spread: "*", value: this.expression() });
      else if (this.skip("op", "**")) args.push({ name: null, spread: "**", value: this.expression() });
      else if (this.is("name") && this.is("op", "=", 1)) {
        const name = this.next().value;
        this.at += 1;
        args.push({ name, spread: "", value: this.expression() });
      } else {
        if (args.some((arg) => arg.name !== null))
          throw new TemplateError("a plain argument cannot follow a named one", pos);
        args.push({ name: null, spread: "", value: this.expression() });
      }
      if (!this.skip("op", ",")) break;
    }
    this.expect("op", ")");
    return args;
  }

  private dotted(): Token {
    const first = this.expect("name");
    let value = first.value;
    while (this.skip("op", ".")) value += `.${this.expect("name").value}`;
    return { ...first, value };
  }

  private filters(of: Expr): Expr {
    let node = of;
    while (this.skip("op", "|")) node = this.filter(node);
    return node;
  }

  /** The filter whose name comes next. */
  protected filter(of: Expr | null): FilterExpr {
    const token = this.dotted();
    const args = this.is("op", "(") ? this.args() : [];
    return { t: "filter", pos: token.pos, of, name: token.value, args };
  }

  private testExpr(of: Expr): Expr {
    this.expect("name", "is");
    const negated = this.skip("name", "not");
    const token = this.dotted();
    let args: Argument[] = [];
    const next = this.peek();
    const operand =
      ["name", "string", "int", "float"].includes(next.type) ||
      (next.type === "op" && (next.value === "[" || next.value === "{"));
    if (this.is("op", "(")) args = this.args();
    else if (operand && !(next.type === "name" && /^(?:else|or|and|if|in|not)$/.test(next.value))) {
      if (this.is("name", "is")) throw new TemplateError("two tests with `is` cannot be chained", next.pos);
      args = [{ name: null, spread: "", value: this.postfix(this.primary()) }];
    }
    const node: Expr = { t: "test", pos: token.pos, of, name: token.value, args };
    return negated ? { t: "unary", pos: of.pos, op: "not", of: node } : node;
  }
}
