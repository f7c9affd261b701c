/**
 * The files of several Vault servers: one directory a server, to be put where muster.deb looks for it. They share a CA whose key stays in the directory
 * above, for the next server and the next certificate: it belongs off every machine that runs.
 */
import { createPublicKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { join } from "node:path";
import { type Ca, makeCa } from "@muster/ports/csr";
import { FleetError } from "@muster/protocol/errors";
import { HostName } from "@muster/protocol/names";
import { readText, writeChanged } from "../fleet/disk.ts";
import { readWord } from "../program/word.ts";
import { type VaultServer, vaultNodeConfig } from "../server/vault-config.ts";
import { issueFor, namesOf, stillFits, VAULT_TLS_LIFE_MS } from "../server/vault-tls.ts";

/** `a=a.example`. Errors: USAGE. */
export function readServer(typed: string): VaultServer {
  const [, name = "", host = ""] = /^([^=]*)=(.*)$/.exec(typed) ?? [];
  if (isIP(host) === 0 && !/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i.test(host))
    throw new FleetError("USAGE", `${typed}: must be NAME=ADDRESS without a port, such as a=a.example`);
  return { name: readWord(HostName, name, "server"), host };
}

/** Writes what is new or has changed, and says which. Errors: USAGE, CONFLICT for a CA without its key. */
export async function writeLayout(
  out: string,
  servers: readonly VaultServer[],
  now_ms: number,
): Promise<string[]> {
  if (new Set(servers.map(({ name }) => name)).size !== servers.length)
    throw new FleetError("USAGE", "each server needs a name of its own");
  if (servers.length < 3)
    throw new FleetError(
      "USAGE",
      "more than half of them have to run at any time: it takes three to lose one",
    );
  const ca = await caIn(out, now_ms);
  const files: Record<string, string> = { "ca.crt": ca.certificate_pem, "ca.key": ca.private_pem };
  for (const server of servers) {
    const names = namesOf([server.host]);
    const [held, held_key] = await Promise.all(
      ["tls.crt", "tls.key"].map((file) => readText(join(out, server.name, file))),
    );
    files[`${server.name}/vault.hcl`] = vaultNodeConfig(server, servers);
    files[`${server.name}/ca.crt`] = ca.certificate_pem;
    const ours = (pem: string) => new X509Certificate(pem).verify(createPublicKey(ca.private_pem));
    if (held != null && held_key != null && ours(held) && stillFits(held, names, now_ms)) continue;
    const issued = await issueFor(ca, names, now_ms + VAULT_TLS_LIFE_MS);
    files[`${server.name}/tls.crt`] = issued.certificate_pem;
    files[`${server.name}/tls.key`] = issued.private_pem;
  }
  const names = Object.keys(files);
  const written = await Promise.all(names.map((name) => writeChanged(join(out, name), files[name] ?? "")));
  return names.filter((_, at) => written[at]);
}

async function caIn(out: string, now_ms: number): Promise<Ca> {
  const [certificate_pem, private_pem] = await Promise.all(
    ["ca.crt", "ca.key"].map((name) => readText(join(out, name))),
  );
  if (certificate_pem != null && private_pem != null) return { certificate_pem, private_pem };
  if (certificate_pem != null)
    throw new FleetError(
      "CONFLICT",
      `${join(out, "ca.key")} is not there: put it back for as long as this takes`,
    );
  return makeCa({ common_name: "Vault of the fleet", not_after: now_ms + 2 * VAULT_TLS_LIFE_MS });
}
