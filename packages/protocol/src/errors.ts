/**
 * The closed table of error codes. A reply carries the code and a detail for the operator, the log keeps the cause;
 * nobody matches on message text. Programming errors are not in the table: they crash.
 */
import { z } from "zod";

type ErrorRow = {
  /** What happened, in the operator's words. */
  readonly message: string;
  /** Whether the same call may succeed later without anybody changing anything. */
  readonly retryable: boolean;
  /** Exit code of `ctl` when this ends the command: 1 failed, 2 usage, 4 partly done, 5 unreachable. */
  readonly exit: 1 | 2 | 4 | 5;
};

const row = (message: string, exit: ErrorRow["exit"], retryable = false): ErrorRow => ({
  message,
  exit,
  retryable,
});

export const ERRORS = {
  // Input
  USAGE: row("the command cannot be understood", 2),
  INVENTORY: row("the fleet folder has mistakes", 2),
  CONFIG: row("the configuration has mistakes", 2),
  INVALID: row("the message does not have the right form", 1),
  TOO_LARGE: row("the message is larger than its limit", 1),
  NOT_FOUND: row("there is no such thing", 1),
  CONFLICT: row("somebody else changed it first", 1, true),
  CANCELLED: row("stopped on request", 1),
  FAILED: row("it did not work", 1),
  UNSUPPORTED: row("this cannot be done here", 1),
  // Reachability
  TIMEOUT: row("no answer in time", 5, true),
  NO_RESPONDER: row("nobody is there to answer", 5, true),
  BUS_UNREACHABLE: row("the broker cannot be reached", 5, true),
  BUS_DENIED: row("the broker refused the subject", 1),
  VAULT_UNREACHABLE: row("Vault cannot be reached", 5, true),
  VAULT_SEALED: row("Vault is sealed", 5, true),
  VAULT_DENIED: row("Vault refused", 1),
  VAULT_NOT_FOUND: row("Vault has nothing there", 1),
  VAULT_REFUSED: row("Vault answered with an error", 1),
  // Authority
  NOT_LOGGED_IN: row("there is no valid log-in", 1),
  UNSIGNED: row("the message is not signed", 1),
  BAD_SIGNATURE: row("the signature does not fit the message", 1),
  BAD_CERTIFICATE: row("the certificate is not one of this fleet, or not valid at that time", 1),
  NOT_ALLOWED: row("the signer may not do this", 1),
  VOIDED: row("the signer was revoked", 1),
  REPLAYED: row("the message was used before", 1),
  CLOCK_SKEW: row("the clocks differ too much", 1, true),
  UNAUDITED: row("it cannot be recorded, and is not done for that", 1, true),
  WRONG_TARGET: row("the message is meant for another host", 1),
  // Enrolment
  WRONG_ANCHOR: row("the server does not fit the join string: not this fleet", 1),
  JOIN_EXPIRED: row("the join string has expired", 1),
  JOIN_USED: row("the join string was used before", 1),
  JOIN_FORGED: row("the join string is not signed by an operator of this fleet", 1),
  JOIN_NETWORK: row("the join string is not for this network", 1),
  NAME_TAKEN: row("another machine holds this name", 1),
  BAD_NAME: row("not a host name that Muster takes", 1),
  BAD_PROOF: row("a key was not proved", 1),
  PENDING: row("waiting for an operator to approve", 1, true),
  REJECTED: row("an operator rejected the request", 1),
  // Desired state
  STALE_GENERATION: row("a newer desired state is held", 1),
  GENERATION_JUMP: row("the generation is higher than any that is signed", 1),
  ALTERED: row("the content does not fit its hash", 1),
  MASS_REMOVAL: row("the desired state is empty or drastically smaller; it needs --force", 1),
  OVERWRITE: row("the host was edited by hand; it needs --overwrite", 1),
  PROTECTED_PATH: row("the path belongs to the agent itself", 1),
  REFERENCE: row("references to Vault cannot be used yet", 2),
  ROLLOUT_BUSY: row("another rollout touches the same hosts", 1, true),
  HELD: row("the host or resource is held", 1),
  UNDONE: row("the change was undone", 1),
  // Image registries
  REGISTRY_UNREACHABLE: row("the image registry cannot be reached", 5, true),
  REGISTRY_REFUSED: row("the image registry refused", 1),
  // Daemons on the host
  BIRD_UNREACHABLE: row("BIRD does not answer", 1, true),
  BIRD_REPLY: row("BIRD's reply cannot be read", 1),
  BIRD_REFUSED: row("BIRD refused", 1),
  FRR_UNREACHABLE: row("FRR does not answer", 1, true),
  FRR_REPLY: row("FRR's answer cannot be used", 1),
  GOBGP_UNREACHABLE: row("GoBGP does not answer", 1, true),
  GOBGP_REPLY: row("GoBGP's answer cannot be used", 1),
  DOCKER_UNREACHABLE: row("Docker does not answer", 1, true),
  DOCKER_REFUSED: row("Docker refused", 1),
  COMMAND_FAILED: row("a command on the host failed", 1),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

export const ERROR_CODES = Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]];

/** How an error crosses the wire. */
export const ErrorReply = z.object({
  code: z.enum(ERROR_CODES).describe("One of the closed table."),
  detail: z
    .string()
    .max(4_000)
    .describe("For the operator: where, what, what would be right. Never a secret."),
});
export type ErrorReply = z.infer<typeof ErrorReply>;

/** The one error class. `detail` is for the operator; `cause` goes to the log only. */
export class FleetError extends Error {
  readonly code: ErrorCode;
  readonly detail: string;

  constructor(code: ErrorCode, detail = "", options: { cause?: unknown } = {}) {
    super(detail === "" ? ERRORS[code].message : `${ERRORS[code].message}: ${detail}`, options);
    this.name = "FleetError";
    this.code = code;
    this.detail = detail;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }

  get exit(): number {
    return ERRORS[this.code].exit;
  }

  toReply(): ErrorReply {
    return { code: this.code, detail: this.detail.slice(0, 4_000) };
  }

  static fromReply(reply: ErrorReply): FleetError {
    return new FleetError(reply.code, reply.detail);
  }
}

/**
 * Reads `value` by `schema`; a mismatch is a FleetError that lists every field and what it should be.
 * @param what names the thing in the error, e.g. "manifest of ixp1"
 */
export function parse<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues
    .slice(0, 20)
    .map((issue) => `${issue.path.map(String).join(".") || "(whole)"}: ${issue.message}`);
  throw new FleetError("INVALID", `${what}: ${issues.join("; ")}`);
}

/** Parses JSON bytes by `schema`; errors as `parse`, also for text that is not JSON. */
export function parseJson<S extends z.ZodType>(
  schema: S,
  body: Uint8Array | string,
  what: string,
): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(
      typeof body === "string" ? body : new TextDecoder("utf-8", { fatal: true }).decode(body),
    );
  } catch (cause) {
    throw new FleetError("INVALID", `${what}: not JSON`, { cause });
  }
  return parse(schema, value, what);
}
