/**
 * What the controller may have signed: bus access by FLEET's scoped keys in Transit, service certificates and ssh host certificates.
 * Vault's policy allows it just these; nothing here can make an authority or a log-in.
 */
import type { Pki, SignedCertificate } from "@muster/ports/pki";
import type { SshCa } from "@muster/ports/sshca";
import type { Transit } from "@muster/ports/transit";
import { encodePublic, type JwtSigner, type Role, userJwt } from "@muster/protocol";

const DAY_MS = 86_400_000;
/** Lifetimes are chosen for outages: revocation is immediate (design, Trust). Hosts with a log-in of their own get longer certificates by it. */
export const LIFE_MS = {
  agent: 7 * DAY_MS,
  controller: DAY_MS,
  person: 8 * 3_600_000,
  service: 7 * DAY_MS,
  ssh: 7 * DAY_MS,
} as const;
export type Lives = { readonly [K in keyof typeof LIFE_MS]: number };

/** Text with the time at which it ends, milliseconds since 1970. */
export type Issued = { readonly text: string; readonly not_after: number };

export interface Issuer {
  readonly life_ms: Lives;
  /** A user JWT of that role. Errors: VAULT_*. */
  userJwt(
    role: Role,
    user: { name: string; key: string; expires_ms: number; tags?: readonly string[] },
  ): Promise<Issued>;
  /** Leaf and chain, PEM, for `<name>` and `<name>.<fleet>`. */
  serviceCertificate(name: string, csr_pem: string): Promise<Issued>;
  /** Leaf and chain, PEM, of the web page, for names that `ctl init` was given. Errors: VAULT_*, where Vault does not know one of them. */
  pageCertificate(names: readonly string[], csr_pem: string): Promise<Issued>;
  /** The line of an OpenSSH host certificate. */
  sshCertificate(name: string, public_key: string): Promise<Issued>;
  /** The controller's own certificate, PEM: OU=controller is set by the role. */
  controllerCertificate(name: string, csr_pem: string): Promise<Issued>;
}

export function vaultIssuer(
  fleet: { name: string; account: string },
  ports: { pki: Pki; transit: Transit; ssh: SshCa },
  now: () => number,
  life_ms: Lives = LIFE_MS,
): Issuer {
  const signers = new Map<Role, Promise<JwtSigner>>();
  const signerOf = (role: Role): Promise<JwtSigner> => {
    const known = signers.get(role);
    if (known !== undefined) return known;
    const key = `fleet-${role}`;
    const made = ports.transit.publicKey(key).then((raw) => ({
      issuer: encodePublic("account", raw),
      sign: (data: Uint8Array) => ports.transit.signEd25519(key, data),
    }));
    signers.set(role, made);
    // A failure is not kept: the next caller asks again.
    made.catch(() => signers.delete(role));
    return made;
  };
  // The first stands among the names too.
  const namedAs = ([common_name = "", ...alt_names]: readonly string[]) => ({
    ...{ common_name, ttl_s: life_ms.service / 1000 },
    ...(alt_names.length === 0 ? {} : { alt_names }),
  });
  return {
    life_ms,
    async userJwt(role, user) {
      const text = await userJwt({ ...user, account: fleet.account }, await signerOf(role), now());
      return { text, not_after: user.expires_ms };
    },
    async serviceCertificate(name, csr_pem) {
      const names = [name, `${name}.${fleet.name}`];
      return chained(await ports.pki.signCsr("services", "host", csr_pem, namedAs(names)));
    },
    async pageCertificate(names, csr_pem) {
      return chained(await ports.pki.signCsr("services", "page", csr_pem, namedAs(names)));
    },
    async sshCertificate(name, public_key) {
      const ttl_s = life_ms.ssh / 1000;
      const until = now() + life_ms.ssh;
      const names = [name, `${name}.${fleet.name}`];
      return {
        text: await ports.ssh.signHostKey("ssh-host", "host", public_key, names, ttl_s),
        not_after: until,
      };
    },
    async controllerCertificate(name, csr_pem) {
      const signed = await ports.pki.signCsr("controllers", "controller", csr_pem, {
        common_name: name,
        ttl_s: life_ms.controller / 1000,
      });
      return { text: signed.certificate_pem, not_after: signed.not_after };
    },
  };
}

function chained({ certificate_pem, ca_chain, not_after }: SignedCertificate): Issued {
  const chain = [certificate_pem, ...ca_chain].map((pem) => pem.trim());
  return { text: `${chain.join("\n")}\n`, not_after };
}
