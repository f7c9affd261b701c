/**
 * The tree of a Jinja2 template: what `parser.ts` makes and `evaluate.ts` walks. Every node carries `pos`, the offset in the
 * template's text, since an error has to name line and column of the very name that is wrong.
 */
export interface Argument {
  readonly name: string | null;
  readonly spread: "" | "*" | "**";
  readonly value: Expr;
}

export type BinaryOperator = "+" | "-" | "*" | "/" | "//" | "%" | "**" | "~";
export type Comparison = "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in";

export type Expr =
  | {
      readonly t: "const";
      readonly pos: number;
      readonly value: null | boolean | number | string;
      readonly float?: boolean;
    }
  | { readonly t: "name"; readonly pos: number; readonly name: string }
  | { readonly t: "list"; readonly pos: number; readonly items: readonly Expr[]; readonly tuple: boolean }
  | { readonly t: "dict"; readonly pos: number; readonly items: readonly { key: Expr; value: Expr }[] }
  | { readonly t: "unary"; readonly pos: number; readonly op: "not" | "-" | "+"; readonly of: Expr }
  | {
      readonly t: "logic";
      readonly pos: number;
      readonly op: "and" | "or";
      readonly left: Expr;
      readonly right: Expr;
    }
  | {
      readonly t: "binary";
      readonly pos: number;
      readonly op: BinaryOperator;
      readonly left: Expr;
      readonly right: Expr;
    }
  | {
      readonly t: "compare";
      readonly pos: number;
      readonly first: Expr;
      readonly rest: readonly { op: Comparison; of: Expr }[];
    }
  | {
      readonly t: "cond";
      readonly pos: number;
      readonly test: Expr;
      readonly yes: Expr;
      readonly no: Expr | null;
    }
  | { readonly t: "attr"; readonly pos: number; readonly of: Expr; readonly name: string }
  | { readonly t: "item"; readonly pos: number; readonly of: Expr; readonly key: Expr }
  | { readonly t: "slice"; readonly pos: number; readonly of: Expr; readonly parts: readonly (Expr | null)[] }
  | { readonly t: "call"; readonly pos: number; readonly of: Expr; readonly args: readonly Argument[] }
  | FilterExpr
  | {
      readonly t: "test";
      readonly pos: number;
      readonly of: Expr;
      readonly name: string;
      readonly args: readonly Argument[];
    };

/** `of` is null where the filter stands for itself: `{% filter upper %}` and `{% set x | upper %}`. */
export interface FilterExpr {
  readonly t: "filter";
  readonly pos: number;
  readonly of: Expr | null;
  readonly name: string;
  readonly args: readonly Argument[];
}

/** What is assigned to: names, a tuple of names, or an attribute of a namespace. */
export type Target =
  | { readonly t: "name"; readonly pos: number; readonly name: string }
  | { readonly t: "attr"; readonly pos: number; readonly of: string; readonly name: string }
  | { readonly t: "tuple"; readonly pos: number; readonly items: readonly Target[] };

export interface Parameter {
  readonly name: string;
  readonly fallback: Expr | null;
}

export type Statement =
  | { readonly t: "text"; readonly pos: number; readonly text: string }
  | { readonly t: "output"; readonly pos: number; readonly of: Expr }
  | {
      readonly t: "if";
      readonly pos: number;
      readonly branches: readonly { test: Expr; body: Statement[] }[];
      readonly otherwise: Statement[];
    }
  | ForStatement
  | { readonly t: "set"; readonly pos: number; readonly target: Target; readonly value: Expr }
  | {
      readonly t: "setblock";
      readonly pos: number;
      readonly target: Target;
      readonly filter: FilterExpr | null;
      readonly body: Statement[];
    }
  | MacroStatement
  | {
      readonly t: "callblock";
      readonly pos: number;
      readonly caller: MacroStatement;
      readonly call: Expr & { t: "call" };
    }
  | {
      readonly t: "filterblock";
      readonly pos: number;
      readonly filter: FilterExpr;
      readonly body: Statement[];
    }
  | {
      readonly t: "with";
      readonly pos: number;
      readonly binds: readonly { target: Target; value: Expr }[];
      readonly body: Statement[];
    }
  | {
      readonly t: "include";
      readonly pos: number;
      readonly from: Expr;
      readonly optional: boolean;
      readonly context: boolean;
    }
  | {
      readonly t: "import";
      readonly pos: number;
      readonly from: Expr;
      readonly as: string;
      readonly context: boolean;
    }
  | {
      readonly t: "from";
      readonly pos: number;
      readonly from: Expr;
      readonly names: readonly { name: string; as: string }[];
      readonly context: boolean;
    }
  | { readonly t: "extends"; readonly pos: number; readonly from: Expr }
  | { readonly t: "block"; readonly pos: number; readonly name: string; readonly body: Statement[] };

export interface ForStatement {
  readonly t: "for";
  readonly pos: number;
  readonly target: Target;
  readonly over: Expr;
  readonly test: Expr | null;
  readonly recursive: boolean;
  readonly body: Statement[];
  readonly otherwise: Statement[];
}

export interface MacroStatement {
  readonly t: "macro";
  readonly pos: number;
  readonly name: string;
  readonly parameters: readonly Parameter[];
  readonly body: Statement[];
}
