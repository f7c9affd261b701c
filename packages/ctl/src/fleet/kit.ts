/**
 * The recovery kit: every key that must outlive Vault and the brokers, in one file under a passphrase. It logs in without either.
 * JSON, 0600; scrypt (RFC 7914) and AES-256-GCM (NIST SP 800-38D), the head of the file is authenticated too.
 */
import { createCipheriv, createDecipheriv, randomBytes, scrypt } from "node:crypto";
import { canonicalize } from "@muster/protocol/canonical";
import { FleetError, parse, parseJson } from "@muster/protocol/errors";
import { FleetName, Instant } from "@muster/protocol/names";
import { z } from "zod";
import { Profile } from "../session/profile.ts";

const KeyPair = z.strictObject({ certificate_pem: z.string(), private_pem: z.string() });

export const Kit = z.strictObject({
  v: z.literal(1),
  fleet: FleetName,
  made_at: Instant,
  seeds: z.strictObject({
    operator: z.string().describe("NATS operator identity."),
    system: z.string().describe("Account SYS."),
    fleet: z.string().describe("Account FLEET."),
    enrol: z.string().describe("Account ENROL."),
    access: z
      .string()
      .describe("A signing key of FLEET in the scope of operators: mints the kit's own bus access."),
  }),
  broker_ca: KeyPair,
  admin_key: z.string().describe("Ed25519, PEM: signs trust bundles."),
  authority: KeyPair.describe("Certificate with OU=kit of the operators' CA."),
  backup: z
    .strictObject({ public: z.string(), seed: z.string() })
    .optional()
    .describe("Curve key pair that backups are sealed to."),
  vault_keys: z
    .array(z.string().max(256))
    .max(16)
    .optional()
    .describe("What opens the fleet's own Vault; absent for a Vault that is somebody else's."),
  profile: Profile,
});
export type Kit = z.infer<typeof Kit>;

const KitFile = z.strictObject({
  kind: z.literal("muster recovery kit"),
  v: z.literal(1),
  fleet: FleetName,
  made_at: Instant,
  kdf: z.strictObject({
    name: z.literal("scrypt"),
    n: z
      .int()
      .min(1 << 14)
      .max(1 << 20),
    r: z.int().min(8).max(32),
    p: z.int().min(1).max(4),
    salt: z.base64().min(22).max(128),
  }),
  iv: z.base64().length(16),
  tag: z.base64().length(24),
  data: z.base64().max(4 << 20),
});

/** What anybody can read of a kit's file. */
export const KitHead = z.object({ kind: z.literal("muster recovery kit"), fleet: FleetName });

/** 128 MiB and about 0.4 s a guess. */
const COST = { n: 1 << 17, r: 8, p: 1 };
export const PASSPHRASE_MIN = 12;

function keyOf(passphrase: string, kdf: { n: number; r: number; p: number; salt: string }): Promise<Buffer> {
  const options = { N: kdf.n, r: kdf.r, p: kdf.p, maxmem: 256 * kdf.n * kdf.r };
  return new Promise((resolve, reject) => {
    scrypt(passphrase.normalize("NFC"), Buffer.from(kdf.salt, "base64"), 32, options, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}

const headOf = (file: Omit<z.infer<typeof KitFile>, "tag" | "data">) =>
  Buffer.from(
    canonicalize({
      kind: file.kind,
      v: file.v,
      fleet: file.fleet,
      made_at: file.made_at,
      kdf: file.kdf,
      iv: file.iv,
    }),
  );

/** The passphrase itself, when it is long enough. Errors: USAGE. */
export function checkPassphrase(passphrase: string): string {
  if ([...passphrase].length < PASSPHRASE_MIN)
    throw new FleetError("USAGE", `the recovery kit's passphrase needs ${PASSPHRASE_MIN} characters or more`);
  return passphrase;
}

/** The text of the kit's file. USAGE for a passphrase under 12 characters. */
export async function sealKit(kit: Kit, passphrase: string): Promise<string> {
  checkPassphrase(passphrase);
  const head = {
    kind: "muster recovery kit",
    v: 1,
    fleet: kit.fleet,
    made_at: kit.made_at,
    kdf: { name: "scrypt", ...COST, salt: randomBytes(16).toString("base64") },
    iv: randomBytes(12).toString("base64"),
  } as const;
  const cipher = createCipheriv(
    "aes-256-gcm",
    await keyOf(passphrase, head.kdf),
    Buffer.from(head.iv, "base64"),
  );
  cipher.setAAD(headOf(head));
  const data = Buffer.concat([cipher.update(JSON.stringify(kit)), cipher.final()]);
  const file = { ...head, tag: cipher.getAuthTag().toString("base64"), data: data.toString("base64") };
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

/** Opens the text of a kit's file. INVALID for no kit; NOT_ALLOWED for a wrong passphrase (or an altered file: the two cannot be told apart). */
export async function openKit(text: string, passphrase: string): Promise<Kit> {
  const file = parseJson(KitFile, text, "recovery kit");
  const key = await keyOf(passphrase, file.kdf);
  const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(file.iv, "base64"), {
    authTagLength: 16,
  });
  decipher.setAAD(headOf(file));
  decipher.setAuthTag(Buffer.from(file.tag, "base64"));
  let clear: Buffer;
  try {
    clear = Buffer.concat([decipher.update(Buffer.from(file.data, "base64")), decipher.final()]);
  } catch {
    throw new FleetError(
      "NOT_ALLOWED",
      "the passphrase does not open the recovery kit, or the file was altered",
    );
  }
  return parse(Kit, JSON.parse(clear.toString()), "recovery kit");
}
