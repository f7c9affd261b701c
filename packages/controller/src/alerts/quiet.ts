/** Why nobody is told of an alert: a person said so, the host is drained, a change of ours goes on. Each by the state that there is of it anyway. Pure. */
import type { Alert, Silence } from "@muster/protocol/alert";
import { isAbout } from "@muster/protocol/alerting";
import { timeText } from "@muster/protocol/time";
import { isTold, type Look } from "./findings.ts";

/** A silence whose hosts are not looked through for each alert: there may be ten thousand. */
type Silencing = Omit<Silence, "hosts"> & { readonly hosts: ReadonlySet<string> };

export const silencing = (silences: readonly Silence[]): readonly Silencing[] =>
  silences.map((silence) => ({ ...silence, hosts: new Set(silence.hosts) }));

export type QuietBy = {
  readonly silences: readonly Silencing[];
  readonly look: Pick<Look, "quiet">;
  /** What a rollout says of a host that it has sent its manifest and waits for; null for any other. */
  changing(host: string): string | null;
};

/** Null: who is to be told is told. */
export function quietFor(
  { host, about }: Pick<Alert, "host" | "about">,
  by: QuietBy,
  now_ms: number,
): string | null {
  const silence = by.silences.find(
    (each) => each.until > now_ms && each.hosts.has(host) && isAbout(each.about, about),
  );
  if (silence !== undefined)
    return `silenced by ${silence.by} until ${timeText(silence.until)}: ${silence.why}`;
  if (isTold(about)) return null;
  return by.look.quiet.get(host) ?? by.changing(host);
}
