/**
 * SSH host certificates signed by an SSH mount of Vault. Vault asks for no proof that the key is held: the caller has
 * checked that. API: developer.hashicorp.com/vault/api-docs/secret/ssh.
 */
import { FleetError } from "@muster/protocol/errors";
import * as z from "zod";
import type { Vault } from "./vault.ts";

const Signed = z.object({ signed_key: z.string(), serial_number: z.string().default("") });
const KEY_LINE = /^[a-z0-9@.-]+ [A-Za-z0-9+/]+=*(?: [^\r\n]*)?$/;

export interface SshCa {
  /**
   * Signs an OpenSSH public key line as a host certificate for these names and returns the line of the certificate file.
   * `INVALID` without names: such a certificate would be good for every host. Without `ttl_s` it lives as long as the role says.
   */
  signHostKey(
    mount: string,
    role: string,
    public_key: string,
    principals: readonly string[],
    ttl_s?: number,
  ): Promise<string>;
  /** The CA's public key line, for `@cert-authority` and `TrustedUserCAKeys`. Needs no token. */
  caPublicKey(mount: string): Promise<string>;
}

export function sshCa(vault: Vault): SshCa {
  return {
    async signHostKey(mount, role, public_key, principals, ttl_s) {
      const odd = principals.find((name) => !/^[A-Za-z0-9._:-]+$/.test(name));
      if (principals.length === 0 || odd !== undefined) {
        throw new FleetError(
          "INVALID",
          `a host certificate needs names, and ${JSON.stringify(odd ?? "")} is none`,
        );
      }
      const body = {
        cert_type: "host",
        public_key,
        valid_principals: principals.join(","),
        ...(ttl_s === undefined ? {} : { ttl: `${ttl_s}s` }),
      };
      const { signed_key } = await vault.write([mount, "sign", role], body, Signed, { repeatable: true });
      return keyLine(signed_key, `${mount}/sign/${role}`);
    },
    async caPublicKey(mount) {
      return keyLine(await vault.read([mount, "public_key"], z.string()), `${mount}/public_key`);
    },
  };
}

function keyLine(text: string, what: string): string {
  const line = text.trim();
  if (!KEY_LINE.test(line)) throw new FleetError("INVALID", `Vault's ${what} is not an OpenSSH line`);
  return line;
}
