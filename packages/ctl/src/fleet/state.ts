/** What `ctl init` made, public parts only, in `<out>/fleet.json`: a second run compares with it and needs neither kit nor passphrase. */
import { join } from "node:path";
import { StoredEnvelope } from "@muster/protocol/envelope";
import { parseJson } from "@muster/protocol/errors";
import { FleetName, Instant } from "@muster/protocol/names";
import { z } from "zod";
import { readText } from "./disk.ts";

export const MadeFleet = z.strictObject({
  v: z.literal(1),
  fleet: FleetName,
  admin: z.string(),
  addresses: z.array(z.string()).min(1),
  anchor: z.string(),
  broker_ca: z.string(),
  broker_certificate_ends: Instant,
  admin_key: z.string().describe("Raw public key, base64."),
  accounts: z.strictObject({
    operator: z.string(),
    system: z.string(),
    fleet: z.string(),
    enrol: z.string(),
    access: z.string(),
  }),
  operator_jwt: z.string(),
  sentinel_jwt: z.string(),
  account_jwts: z.record(z.string(), z.string()).describe("By public account key."),
  bundle: StoredEnvelope,
  backup_key: z
    .string()
    .nullable()
    .default(null)
    .describe("Public curve key: what is sealed to it opens with the recovery kit."),
  kit_file: z.string(),
});
export type MadeFleet = z.infer<typeof MadeFleet>;

export const stateFile = (out: string) => join(out, "fleet.json");

/** What was made before, or null. Errors: INVALID for a damaged file. */
export async function loadState(out: string): Promise<MadeFleet | null> {
  const text = await readText(stateFile(out));
  return text === null ? null : parseJson(MadeFleet, text, stateFile(out));
}
