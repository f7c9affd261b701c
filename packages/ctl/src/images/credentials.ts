/** The person's log-in at a registry, from where `docker login` left it: in Docker's configuration, or with its credential helper. */
import { spawn } from "node:child_process";
import { homedir } from "node:os";
import { join } from "node:path";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { z } from "zod";
import { readText } from "../fleet/disk.ts";

export type Login = { readonly user: string; readonly password: string };

const Config = z.object({
  auths: z.record(z.string(), z.object({ auth: z.string().optional() })).default({}),
  credHelpers: z.record(z.string(), z.string()).default({}),
  credsStore: z.string().optional(),
});
const Helped = z.object({ Username: z.string(), Secret: z.string() });
const HELPER = /^[a-z0-9-]{1,64}$/;
const HELPER_LIMIT_MS = 10_000;
const ANSWER_BYTES = 64 * 1024;

/** Null when nobody is logged in there. Errors: CONFIG for a file that cannot be read; a helper's words are not repeated, they may hold a secret. */
export async function loginFor(
  registry: string,
  directory = process.env.DOCKER_CONFIG,
): Promise<Login | null> {
  const file = join(directory ?? join(homedir(), ".docker"), "config.json");
  const text = await readText(file);
  if (text === null) return null;
  const config = readConfig(text, file);
  const helper = config.credHelpers[registry] ?? config.credsStore;
  if (helper !== undefined) return askHelper(helper, registry);
  const auth = config.auths[registry]?.auth;
  if (auth === undefined || auth === "") return null;
  const plain = Buffer.from(auth, "base64").toString("utf8");
  const colon = plain.indexOf(":");
  if (colon < 1)
    throw new FleetError(
      "CONFIG",
      `${file}: the log-in for ${registry} cannot be read: docker login ${registry}`,
    );
  return { user: plain.slice(0, colon), password: plain.slice(colon + 1) };
}

function readConfig(text: string, file: string): z.output<typeof Config> {
  try {
    return parseJson(Config, text, file);
  } catch (cause) {
    if (cause instanceof FleetError) throw new FleetError("CONFIG", cause.detail);
    throw cause;
  }
}

async function askHelper(helper: string, registry: string): Promise<Login | null> {
  if (!HELPER.test(helper))
    throw new FleetError("CONFIG", `${JSON.stringify(helper)} is no credential helper`);
  const answer = await new Promise<string | null>((resolve, reject) => {
    const child = spawn(`docker-credential-${helper}`, ["get"], {
      stdio: ["pipe", "pipe", "ignore"],
      timeout: HELPER_LIMIT_MS,
    });
    let out = "";
    child.stdout.on("data", (chunk: Buffer) => {
      if (out.length < ANSWER_BYTES) out += chunk.toString("utf8");
    });
    child.on("error", () => reject(new FleetError("CONFIG", `docker-credential-${helper} cannot be run`)));
    // It ends with 1 when it knows of no log-in.
    child.on("close", (code) => resolve(code === 0 ? out : null));
    child.stdin.on("error", () => {});
    child.stdin.end(registry);
  });
  if (answer === null) return null;
  const { Username, Secret } = parseJson(Helped, answer, `docker-credential-${helper}`);
  return { user: Username, password: Secret };
}
