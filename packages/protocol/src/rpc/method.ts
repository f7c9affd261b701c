/** What every RPC row says of itself: form of request and reply, on whose authority, and how long it may take. */
import { z } from "zod";
import type { Authority } from "../certificate.ts";
import { ErrorReply } from "../errors.ts";
import { Json } from "../json.ts";

export type Method<Q extends z.ZodType = z.ZodType, R extends z.ZodType = z.ZodType> = {
  /** One sentence for the reference and `ctl docs`. */
  readonly what: string;
  readonly request: Q;
  readonly reply: R;
  readonly authority: Authority;
  /** Whether a CI principal may call it on an operator's authority. */
  readonly for_ci: boolean;
  readonly timeout_ms: number;
  /**
   * How the audit has it. `acts`: before it is done, and what came of it. `sums`: afterwards, what is alike in a minute as one record (what changes
   * nothing by itself). `refusals`: only when it is refused.
   */
  readonly audited: "acts" | "sums" | "refusals";
  /** What the audit may say of the arguments in words: never a secret. */
  told?(args: z.output<Q>): string;
};

const AUDITED: Partial<Record<Authority, Method["audited"]>> = { none: "refusals", viewer: "sums" };

export const method = <Q extends z.ZodType, R extends z.ZodType>(row: {
  what: string;
  request: Q;
  reply: R;
  authority: Authority;
  timeout_ms: number;
  for_ci?: boolean;
  audited?: "acts" | "sums" | "refusals";
  told?(args: z.output<Q>): string;
}): Method<Q, R> => ({ for_ci: false, audited: AUDITED[row.authority] ?? "acts", ...row });

/** How any reply looks on the wire. `challenge` comes with CLOCK_SKEW: sign it as the nonce and ask again. */
export const Reply = z.union([
  z.object({ ok: Json }),
  z.object({ error: ErrorReply, challenge: z.string().optional() }),
]);
export type Reply = z.infer<typeof Reply>;
