/**
 * The hosts that the folder declares, as an operator signed them (key `declared` of bucket `alerts`), and which of them are missing: no machine ever joined as them. A copy in
 * memory answers; it is read anew when another controller tells of one, and every few seconds, and its signature is checked again whenever it, or the trust bundle, is another.
 */
import type { Bus, KeyValue } from "@muster/ports/bus";
import type { Handlers } from "@muster/ports/dispatch";
import type { Log } from "@muster/ports/log";
import type { Grant } from "@muster/protocol";
import { MISSING_NAMED } from "@muster/protocol/control/declared";
import type { CONTROL } from "@muster/protocol/control/index";
import { DECLARED_BYTES, type DeclaredHost, type MissingHost, openDeclared } from "@muster/protocol/declared";
import { loadEnvelope, StoredEnvelope, type Verifier } from "@muster/protocol/envelope";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { limitsOf, type NodePolicy } from "@muster/protocol/trust";
import { listText } from "@muster/view/words";
import type { Events } from "../events.ts";
import { pause } from "../retry.ts";
import type { HostRecords } from "./hosts.ts";

const KEY = "declared";
const READ_MS = 3_000;

export type DeclaredPorts = {
  readonly bus: Pick<Bus, "kv">;
  readonly fleet: string;
  readonly records: Pick<HostRecords, "byName">;
  readonly log: Log;
  verifier(): Verifier;
};

type Hosts = ReadonlyMap<string, DeclaredHost>;
/** `version` 0: what is stored cannot be used. */
type Held = {
  readonly text: string;
  readonly verifier: Verifier;
  readonly version: number;
  readonly hosts: Hosts;
};

export class DeclaredHosts {
  readonly #ports: DeclaredPorts;
  readonly #kv: KeyValue;
  #held: Held | null = null;
  #renewing: Promise<void> | null = null;

  constructor(ports: DeclaredPorts) {
    this.#ports = ports;
    this.#kv = ports.bus.kv("alerts");
  }

  /** Reads what is stored. Errors: those of the bus; where there is no such bucket, for want of `ctl init` or of a broker that has begun, what was read last holds. */
  async read(): Promise<void> {
    const entry = await this.#kv.get(KEY).catch((error: unknown) => {
      if (error instanceof FleetError && error.code === "NO_RESPONDER") return undefined;
      throw error;
    });
    if (entry === undefined) return;
    if (entry === null) this.#held = null;
    else this.#use(Buffer.from(entry.value).toString());
  }

  /** Reads it because another controller told of a newer one: until then whoever asks waits (`settled`). Errors: as `read`. */
  async renew(): Promise<void> {
    const renewing = this.read();
    this.#renewing = renewing;
    try {
      await renewing;
    } finally {
      if (this.#renewing === renewing) this.#renewing = null;
    }
  }

  /** Resolves when what was told of is read, or cannot be. */
  async settled(): Promise<void> {
    await this.#renewing?.catch(() => undefined);
  }

  /** Reads again and again until the signal aborts. */
  async follow(signal: AbortSignal, every_ms = READ_MS): Promise<void> {
    while (!signal.aborted) {
      await pause(every_ms, signal);
      if (signal.aborted) return;
      // While the broker is away what was read last holds.
      await this.read().catch((error: unknown) => {
        if (!(error instanceof FleetError)) throw error;
      });
    }
  }

  /** All names that are declared. */
  get names(): Iterable<string> {
    return this.#held?.hosts.keys() ?? [];
  }

  isMissing(name: string): boolean {
    return this.#ports.records.byName(name) === undefined;
  }

  /** Ordered by name; a guest sees those of his groups. */
  missing(guest: Pick<Grant, "groups"> | null = null): MissingHost[] {
    const groups = guest?.groups ?? null;
    return [...(this.#held?.hosts ?? [])]
      .filter(
        ([name, host]) =>
          this.isMissing(name) && (groups?.some((each) => host.groups.includes(each)) ?? true),
      )
      .map(([name, host]) => ({ name, ...host }))
      .sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  /** The document as it is stored. Errors: as `read`. */
  async stored(): Promise<StoredEnvelope | null> {
    await this.read();
    return this.#held === null ? null : parseJson(StoredEnvelope, Buffer.from(this.#held.text), KEY);
  }

  /**
   * Takes the next version, and says which missing hosts are new and which are declared no more. Errors: those of the signature; NOT_ALLOWED for a person with limits, who would speak for
   * hosts that are not his; CONFLICT when it is not the next; TOO_LARGE.
   */
  async take(
    document: StoredEnvelope,
    policy: NodePolicy,
  ): Promise<{ version: number; by: string; added: string[]; gone: string[] }> {
    const { fleet, verifier } = this.#ports;
    if (document.body.length > (DECLARED_BYTES * 4) / 3 + 4)
      throw new FleetError("TOO_LARGE", `declared hosts take at most ${DECLARED_BYTES} bytes`);
    const { declared, principal } = openDeclared(loadEnvelope(document), verifier());
    if (declared.fleet !== fleet) throw new FleetError("WRONG_TARGET", `declared hosts of ${declared.fleet}`);
    const [limited] = limitsOf(policy, principal);
    if (limited !== undefined)
      throw new FleetError(
        "NOT_ALLOWED",
        `${limited.who} is limited, and what is declared is the whole fleet`,
      );
    const entry = await this.#kv.get(KEY);
    if (entry === null) this.#held = null;
    else this.#use(Buffer.from(entry.value).toString());
    // Where what is held cannot be read it is 0, and one begins anew.
    const before = this.#held?.version ?? 0;
    if (declared.version !== before + 1)
      throw new FleetError("CONFLICT", `declared hosts ${before} hold, and these are ${declared.version}`);
    const was = new Set(this.missing().map(({ name }) => name));
    const text = JSON.stringify(document);
    if (entry === null) await this.#kv.create(KEY, Buffer.from(text));
    else await this.#kv.update(KEY, Buffer.from(text), entry.revision);
    this.#use(text);
    const is = this.missing().map(({ name }) => name);
    return {
      ...{ version: declared.version, by: principal.name },
      added: is.filter((name) => !was.has(name)),
      gone: [...was].filter((name) => !is.includes(name)),
    };
  }

  #use(text: string): void {
    const { fleet, log } = this.#ports;
    const verifier = this.#ports.verifier();
    if (this.#held?.text === text && this.#held.verifier === verifier) return;
    try {
      const document = parseJson(StoredEnvelope, Buffer.from(text), KEY);
      const { declared } = openDeclared(loadEnvelope(document), verifier);
      if (declared.fleet !== fleet)
        throw new FleetError("WRONG_TARGET", `declared hosts of ${declared.fleet}`);
      this.#held = {
        text,
        verifier,
        version: declared.version,
        hosts: new Map(Object.entries(declared.hosts)),
      };
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      log.error({ err: error }, "which hosts are declared cannot be read: none is called missing");
      this.#held = { text, verifier, version: 0, hosts: new Map() };
    }
  }
}

/** `ctl.declared` and `ctl.declare`. */
export function declaredAnswers(
  declared: DeclaredHosts,
  policy: () => NodePolicy,
  events: Pick<Events, "emit">,
): Pick<Handlers<typeof CONTROL>, "declared" | "declare"> {
  return {
    async declared({ hosts }) {
      const document = await declared.stored();
      const names = [...new Set([...hosts, ...declared.names])].filter((name) => declared.isMissing(name));
      return { document, missing: names.sort().slice(0, MISSING_NAMED) };
    },
    async declare({ document }) {
      const { version, by, added, gone } = await declared.take(document, policy());
      const about = { host: "_", kind: "host", severity: "info", by } as const;
      if (added.length > 0)
        events.emit({ ...about, what: `${by} declared ${listText(added)}: no machine joined yet` });
      if (gone.length > 0) events.emit({ ...about, what: `${by} declares ${listText(gone)} no more` });
      return { version };
    },
  };
}
