/** A CA and a server certificate for a real server on loopback, over IPv4, IPv6 and by name. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Ca, issue, makeCa } from "@muster/ports/csr";

export type LoopbackTls = {
  readonly ca: Ca;
  readonly certificate_file: string;
  readonly key_file: string;
  readonly ca_file: string;
};

const LOOPBACK = { dns_names: ["localhost", "server.test"], ip_addresses: ["127.0.0.1", "::1"] };

/**
 * Writes `server.pem`, `server.key` and `ca.pem` into the directory. With `given`, signs with that CA; with `names`, the
 * certificate is for those only.
 */
export async function loopbackTls(
  directory: string,
  given?: Ca,
  names: { readonly dns_names?: readonly string[]; readonly ip_addresses?: readonly string[] } = LOOPBACK,
): Promise<LoopbackTls> {
  // Longer than what `ctl vault check` calls short.
  const not_after = Date.now() + 365 * 86_400_000;
  const ca = given ?? (await makeCa({ common_name: "muster test CA", not_after }));
  const server = await issue(ca, {
    common_name: "test server",
    ...names,
    not_after,
    also_client: true,
  });
  const files = {
    certificate_file: join(directory, "server.pem"),
    key_file: join(directory, "server.key"),
    ca_file: join(directory, "ca.pem"),
  };
  await writeFile(files.certificate_file, server.certificate_pem + ca.certificate_pem, { mode: 0o600 });
  await writeFile(files.key_file, server.private_pem, { mode: 0o600 });
  await writeFile(files.ca_file, ca.certificate_pem, { mode: 0o600 });
  return { ca, ...files };
}
