/** Template text → statement tree: the tags of Jinja2 3.1 (`if for set macro call filter with include import from extends block`). */
import { suggest } from "../problem.ts";
import type { FilterExpr, MacroStatement, Parameter, Statement, Target } from "./ast.ts";
import { ExpressionParser } from "./expressions.ts";
import { type Token, tokenize } from "./lexer.ts";
import { TemplateError } from "./value.ts";

/** Deeper nesting than this is refused: a parser that recurses must not end in a stack overflow. */
const MAX_DEPTH = 100;
const TAGS = [
  "if",
  "for",
  "set",
  "macro",
  "call",
  "filter",
  "with",
  "include",
  "import",
  "from",
  "extends",
  "block",
  "print",
  "raw",
];

class StatementParser extends ExpressionParser {
  private depth = 0;

  /** Statements up to one of the end tags `until`; the tag's name stays unread. */
  body(until: readonly string[], opener: Token | null): Statement[] {
    this.depth += 1;
    if (this.depth > MAX_DEPTH)
      throw new TemplateError(`blocks are nested deeper than ${MAX_DEPTH}`, this.peek().pos);
    const statements: Statement[] = [];
    for (;;) {
      const token = this.next();
      if (token.type === "data") statements.push({ t: "text", pos: token.pos, text: token.value });
      else if (token.type === "begin" && token.value === "{{") {
        const of = this.tuple();
        this.expect("end", "}}");
        statements.push({ t: "output", pos: of.pos, of });
      } else if (token.type === "begin") {
        if (this.is("name") && until.includes(this.peek().value)) break;
        const tag = this.expect("name");
        statements.push(...this.statement(tag, until));
        this.expect("end", "%}");
      } else if (opener === null) break;
      else throw new TemplateError(`this \`${opener.value}\` has no \`${until.at(-1)}\``, opener.pos);
    }
    this.depth -= 1;
    return statements;
  }

  /** Body and end tag of a block; `this.at` is behind the tag's last word. */
  private block(opener: Token, end: string): Statement[] {
    this.expect("end", "%}");
    const body = this.body([end], opener);
    this.expect("name", end);
    return body;
  }

  private statement(tag: Token, until: readonly string[]): Statement[] {
    const pos = tag.pos;
    switch (tag.value) {
      case "if":
        return [this.ifStatement(tag)];
      case "for":
        return [this.forStatement(tag)];
      case "set": {
        const target = this.target(true);
        if (this.skip("op", "=")) return [{ t: "set", pos, target, value: this.tuple() }];
        const filter = this.skip("op", "|") ? this.filterChain() : null;
        return [{ t: "setblock", pos, target, filter, body: this.block(tag, "endset") }];
      }
      case "macro":
        return [this.macro(tag, this.expect("name").value, "endmacro")];
      case "call": {
        const parameters = this.is("op", "(") ? this.parameters() : [];
        const call = this.expression();
        if (call.t !== "call") throw new TemplateError("`call` wants a call of a macro", pos);
        const body = this.block(tag, "endcall");
        return [{ t: "callblock", pos, call, caller: { t: "macro", pos, name: "caller", parameters, body } }];
      }
      case "filter":
        return [{ t: "filterblock", pos, filter: this.filterChain(), body: this.block(tag, "endfilter") }];
      case "with": {
        const binds = [];
        while (!this.is("end")) {
          const target = this.target(false);
          this.expect("op", "=");
          binds.push({ target, value: this.expression() });
          if (!this.skip("op", ",")) break;
        }
        return [{ t: "with", pos, binds, body: this.block(tag, "endwith") }];
      }
      case "include": {
        const from = this.expression();
        const optional = this.is("name", "ignore") && this.is("name", "missing", 1);
        if (optional) this.at += 2;
        return [{ t: "include", pos, from, optional, context: this.context(true) }];
      }
      case "import": {
        const from = this.expression();
        this.expect("name", "as");
        const as = this.expect("name").value;
        return [{ t: "import", pos, from, as, context: this.context(false) }];
      }
      case "from":
        return [this.fromStatement(pos)];
      case "extends":
        return [{ t: "extends", pos, from: this.expression() }];
      case "block": {
        const name = this.expect("name").value;
        while (this.skip("name", "scoped") || this.skip("name", "required"));
        const body = this.block(tag, "endblock");
        this.skip("name", name);
        return [{ t: "block", pos, name, body }];
      }
      case "print": {
        const of = this.tuple();
        return [{ t: "output", pos: of.pos, of }];
      }
      default: {
        if (/^(?:end|else|elif)/.test(tag.value)) {
          const open =
            until.length > 0
              ? `; the open block wants \`${until.join("` or `")}\``
              : "; no block is open here";
          throw new TemplateError(`\`${tag.value}\` has no beginning${open}`, pos);
        }
        throw new TemplateError(`unknown tag \`${tag.value}\`${suggest(tag.value, TAGS)}`, pos);
      }
    }
  }

  private ifStatement(tag: Token): Statement {
    const branches: { test: ReturnType<StatementParser["tuple"]>; body: Statement[] }[] = [];
    for (;;) {
      const test = this.tuple(false);
      this.expect("end", "%}");
      branches.push({ test, body: this.body(["elif", "else", "endif"], tag) });
      const word = this.next().value;
      if (word === "elif") continue;
      const otherwise = word === "else" ? this.block(tag, "endif") : [];
      return { t: "if", pos: tag.pos, branches, otherwise };
    }
  }

  private forStatement(tag: Token): Statement {
    const target = this.target(false);
    this.expect("name", "in");
    const over = this.tuple(false, "recursive");
    const test = this.skip("name", "if") ? this.expression() : null;
    const recursive = this.skip("name", "recursive");
    this.expect("end", "%}");
    const body = this.body(["else", "endfor"], tag);
    const otherwise = this.next().value === "else" ? this.block(tag, "endfor") : [];
    return { t: "for", pos: tag.pos, target, over, test, recursive, body, otherwise };
  }

  private fromStatement(pos: number): Statement {
    const from = this.expression();
    this.expect("name", "import");
    const names: { name: string; as: string }[] = [];
    do {
      if ((this.is("name", "with") || this.is("name", "without")) && this.is("name", "context", 1)) break;
      const name = this.expect("name").value;
      names.push({ name, as: this.skip("name", "as") ? this.expect("name").value : name });
    } while (this.skip("op", ","));
    return { t: "from", pos, from, names, context: this.context(false) };
  }

  private context(fallback: boolean): boolean {
    if (!((this.is("name", "with") || this.is("name", "without")) && this.is("name", "context", 1)))
      return fallback;
    const word = this.next().value;
    this.at += 1;
    return word === "with";
  }

  private macro(tag: Token, name: string, end: string): MacroStatement {
    const parameters = this.parameters();
    return { t: "macro", pos: tag.pos, name, parameters, body: this.block(tag, end) };
  }

  private parameters(): Parameter[] {
    this.expect("op", "(");
    const parameters: Parameter[] = [];
    while (!this.is("op", ")")) {
      const name = this.expect("name");
      const fallback = this.skip("op", "=") ? this.expression() : null;
      if (fallback === null && parameters.at(-1)?.fallback)
        throw new TemplateError("a parameter without a default follows one with a default", name.pos);
      parameters.push({ name: name.value, fallback });
      if (!this.skip("op", ",")) break;
    }
    this.expect("op", ")");
    return parameters;
  }

  private filterChain(): FilterExpr {
    let filter = this.filter(null);
    while (this.skip("op", "|")) filter = this.filter(filter);
    return filter;
  }

  private target(withAttribute: boolean): Target {
    const pos = this.peek().pos;
    const items: Target[] = [];
    let isTuple = false;
    do {
      if (items.length > 0 && !(this.is("name") || this.is("op", "("))) break;
      items.push(this.oneTarget(withAttribute));
      isTuple ||= this.is("op", ",");
    } while (this.skip("op", ","));
    const first = items[0];
    return isTuple || first === undefined ? { t: "tuple", pos, items } : first;
  }

  private oneTarget(withAttribute: boolean): Target {
    if (this.skip("op", "(")) {
      const target = this.target(withAttribute);
      this.expect("op", ")");
      return target;
    }
    const token = this.expect("name");
    if (withAttribute && this.skip("op", "."))
      return { t: "attr", pos: token.pos, of: token.value, name: this.expect("name").value };
    return { t: "name", pos: token.pos, name: token.value };
  }
}

/**
 * Parses a template whose newlines are `\n`.
 *
 * @throws TemplateError with the offset of what is wrong; only the first error of a text is found
 */
export function parse(text: string): Statement[] {
  return new StatementParser(tokenize(text)).body([], null);
}
