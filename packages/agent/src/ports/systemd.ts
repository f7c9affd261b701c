/** systemd: units, transient timers, and our own readiness. */
export type UnitFacts = {
  readonly loaded: boolean;
  readonly active: "active" | "activating" | "reloading" | "deactivating" | "inactive" | "failed";
  readonly enabled: boolean;
  readonly can_reload: boolean;
  readonly active_since_ms: number | null;
  readonly result: string;
};

export type Systemd = {
  /** Whether this host runs systemd at all. */
  available(): Promise<boolean>;
  /** Facts of several units by one call. */
  units(names: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, UnitFacts>>;
  act(
    verb: "start" | "stop" | "reload" | "restart" | "enable" | "disable",
    unit: string,
    signal: AbortSignal,
  ): Promise<void>;
  /** Runs a program after a while even when this process and its unit are gone (`systemd-run --on-active`). */
  arm(name: string, after_ms: number, command: readonly string[], signal: AbortSignal): Promise<void>;
  disarm(name: string, signal: AbortSignal): Promise<void>;
  /** sd_notify through systemd-notify; does nothing outside a notify unit. */
  notify(state: { ready?: true; status?: string; watchdog?: true }): Promise<void>;
};
