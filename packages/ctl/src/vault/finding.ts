/** What `ctl vault check` has to say: one thing each, with the reason and what to type next. Pure. */
import type { Difference } from "../fleet/vault-pieces.ts";

export type Finding = {
  /** red: wrong now. amber: wants attention. pending: `ctl vault bootstrap` makes it right. */
  readonly level: "red" | "amber" | "pending";
  /** Which server, mount or role. */
  readonly where: string;
  readonly what: string;
  readonly why: string;
  /** The next command to type. */
  readonly next: string;
};

/** A Vault command with its fields on standard input, as a shell takes it. */
export function vaultLine(write: { readonly path: string; readonly body: object }): string {
  const body = JSON.stringify(write.body).replaceAll("'", `'\\''`);
  return `vault write ${write.path} - <<< '${body}'`;
}

/** One difference, field by field. */
export function differenceFinding(difference: Difference, bootstrap: string): Finding {
  const { name, state, fields, kind } = difference;
  if (state === "conflict") {
    return {
      level: "red",
      where: name,
      what: difference.why ?? "something else is there",
      why: "what is there belongs to somebody else, and the fleet writes nothing over",
      next: "give the fleet a Vault (or, in OpenBao, a namespace) of its own",
    };
  }
  const what =
    state === "missing"
      ? "is missing"
      : fields
          .map((field) => `${field.name} is ${shown(field.held)}, should be ${shown(field.wanted)}`)
          .join("; ");
  return { level: "pending", where: name, what, why: WHY[kind], next: bootstrap };
}

const WHY: Readonly<Record<Difference["kind"], string>> = {
  mount: "the fleet's keys and roles live in it",
  login: "people and programs log in by it",
  audit: "without it nobody can tell who did what",
  key: "it signs, and never leaves Vault",
  ca: "what it signs is believed in the fleet",
  "ssh-ca": "ssh believes what it signs",
  record: "it says who may have what; more or less than this is a hole or a failure",
};

const SHOWN_LIMIT = 120;

/** A value in a line; of a long text (a policy) the size. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length <= SHOWN_LIMIT ? text : `another text (${text.length} letters)`;
}
