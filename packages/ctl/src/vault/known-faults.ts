/**
 * Versions of Vault and OpenBao with published faults that matter to a fleet. Pure. Sources: HCSEC-2026-08 (CVE-2026-5807), HCSEC-2024-20 (CVE-2024-7594),
 * OpenBao's advisories (CVE-2026-39388).
 */
export type Product = "Vault" | "OpenBao";

type Fault = {
  readonly product: Product;
  /** The newest version that has it. */
  readonly up_to: string;
  readonly id: string;
  readonly what: string;
  readonly level: "red" | "amber";
};

const FAULTS: readonly Fault[] = [
  {
    product: "Vault",
    up_to: "1.21.4",
    id: "CVE-2026-5807",
    what: "anybody who reaches its port can cancel the making of a root token and the change of unseal keys",
    level: "amber",
  },
  {
    product: "Vault",
    up_to: "1.17.5",
    id: "CVE-2024-7594",
    what: "ssh certificates without a name are signed, which are good for everybody",
    level: "red",
  },
  {
    product: "OpenBao",
    up_to: "2.5.2",
    id: "CVE-2026-39388",
    what: "a log-in by certificate is renewed with another certificate",
    level: "red",
  },
];

/** The faults of one version, such as `1.21.1` or `2.7.2+ent`. */
export function faultsOf(product: Product, version: string): readonly Fault[] {
  const have = numbersOf(version);
  return FAULTS.filter((fault) => fault.product === product && !isNewer(have, numbersOf(fault.up_to)));
}

const numbersOf = (version: string) => (/^\d+(\.\d+)*/.exec(version)?.[0] ?? "0").split(".").map(Number);

function isNewer(have: readonly number[], than: readonly number[]): boolean {
  for (let at = 0; at < Math.max(have.length, than.length); at++) {
    const step = (have[at] ?? 0) - (than[at] ?? 0);
    if (step !== 0) return step > 0;
  }
  return false;
}
