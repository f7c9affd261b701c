/** What the handlers of RPC methods may use. */
import type { Streams } from "@muster/ports/streams";
import type { FaultyKind } from "@muster/protocol/telemetry/index";
import type { HostAudit } from "../audit/audit.ts";
import type { BgpCollector } from "../collectors/bgp.ts";
import type { ChecksCollector } from "../collectors/checks.ts";
import type { HealthCollector } from "../collectors/health.ts";
import type { SteadyLoop } from "../collectors/steady.ts";
import type { CredentialStore } from "../credentials.ts";
import type { Events } from "../events.ts";
import type { Identity } from "../identity.ts";
import type { Ledger } from "../ledger.ts";
import type { Ports } from "../ports/index.ts";
import type { Reconciler } from "../reconcile.ts";
import type { Standing } from "../standing.ts";
import type { Bell } from "../wait.ts";

export type RpcDoor = {
  readonly identity: Identity;
  readonly credentials: CredentialStore;
  /** Wakes whoever gets certificates from Vault. */
  readonly vault_bell: Bell;
  /** Credentials under another name, and everything said under it from then on. Errors: as a renewal. */
  readonly takeName: (name: string, signal: AbortSignal) => Promise<void>;
  readonly ports: Ports;
  readonly events: Events;
  readonly ledger: Ledger;
  readonly reconciler: Reconciler;
  readonly standing: Standing;
  readonly health: HealthCollector;
  readonly bgp: BgpCollector;
  readonly checks: ChecksCollector;
  readonly steady: readonly SteadyLoop<FaultyKind>[];
  readonly streams: Streams;
  readonly audit: HostAudit;
  readonly agent_version: string;
  readonly os: string;
};
