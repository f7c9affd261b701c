/** The collectors that look at what mostly stands still, one for each kind. */
import type { Resource } from "@muster/protocol";
import type { Collected } from "@muster/protocol/rpc/health";
import type { FaultyKind } from "@muster/protocol/telemetry/index";
import type { Ports } from "../ports/index.ts";
import { createWireguard } from "../ports/wireguard.ts";
import type { Standing } from "../standing.ts";
import { createCertificates, type OwnCertificate } from "./certificates.ts";
import { createContainers } from "./containers.ts";
import { createPackagesCollector } from "./packages.ts";
import { createServices } from "./services.ts";
import { type SteadyLoop, steadyLoop } from "./steady.ts";
import { createWireguardCollector } from "./wireguard.ts";

/** `content` is that of the manifest in force, whether it could be applied or not; `credentials` knows the certificates that Muster gave this host. */
export function steadyCollectors(
  ports: Ports,
  content: () => { readonly resources: readonly Resource[] } | null,
  credentials: { x509(): readonly OwnCertificate[] },
): SteadyLoop<FaultyKind>[] {
  const { now } = ports;
  const declared = () => content()?.resources ?? [];
  return [
    steadyLoop(createContainers(ports, declared), now),
    steadyLoop(createServices(ports, declared), now),
    steadyLoop(
      createCertificates(ports, declared, () => credentials.x509()),
      now,
    ),
    steadyLoop(createPackagesCollector(ports, declared), now),
    steadyLoop(createWireguardCollector(createWireguard(ports.files, ports.run), now), now),
  ] as unknown as SteadyLoop<FaultyKind>[];
}

/**
 * Has all of them look when another content was taken and when it has come to rest: what they judge by the folder is judged by the one in force, and
 * what a change was only on the way to does not stay red until their time comes.
 */
export function lookAfterChanges(
  standing: Pick<Standing, "listen">,
  loops: readonly Pick<SteadyLoop<FaultyKind>, "look">[],
): void {
  let before = "";
  standing.listen(({ convergence: { generation, state } }) => {
    const now = `${generation} ${state}`;
    if (state === "applying" || now === before) return;
    before = now;
    for (const loop of loops) loop.look();
  });
}

/** What each of them saw last, by kind; what has not looked yet is left out. */
export const collectedOf = (loops: readonly SteadyLoop<FaultyKind>[]): Collected =>
  Object.fromEntries(
    loops.flatMap((loop) => {
      const sample = loop.last();
      return sample === null ? [] : [[loop.kind, sample]];
    }),
  );
