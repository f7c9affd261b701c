/** Kind `volume`: a Docker volume that is there. Never changed, and removed only on a person's word: what is in it is somebody's data. */
import type { Step } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { VolumeFacts } from "../ports/docker.ts";
import type { Files } from "../ports/files.ts";
import { RESOURCE_LABEL } from "./container-identity.ts";
import { NO_ENGINE } from "./container-plan.ts";
import type { ResourceKind } from "./kind.ts";
import { refuseProtected } from "./protected.ts";
import { packageComes } from "./service.ts";

export type ObservedVolume = { readonly engine: boolean; readonly volume: VolumeFacts | null };

export const volume: ResourceKind<"volume", ObservedVolume> = {
  host_wide: true,
  in_docker: true,
  async observe({ name, spec }, { docker, files }, signal) {
    await refuseDevice(spec.driver_opts, files);
    if (!(await docker.present())) return { engine: false, volume: null };
    return { engine: true, volume: await docker.volume(name, signal) };
  },
  plan({ name, spec }, { engine, volume: now }, { coming }) {
    if (!engine && !packageComes(coming)) return { steps: [], notes: [], unsupported: NO_ENGINE };
    if (now !== null) {
      if (now.driver === spec.driver) return { steps: [], notes: [] };
      const why = `the volume ${name} is there with the driver ${now.driver}: what is in it would have to be moved by hand`;
      return { steps: [], notes: [], unsupported: why };
    }
    const { driver, driver_opts, labels } = spec;
    const step: Step = {
      ref: `volume/${name}`,
      action: "create",
      args: { driver, driver_opts: { ...driver_opts }, labels: { ...labels }, makes: true },
      why: "it is not there",
      reversible: true,
    };
    return { steps: [step], notes: [] };
  },
  removal: ({ name }, { volume: now }) =>
    now === null
      ? { steps: [] }
      : { left: `the volume ${name} is kept with what is in it: ctl host prune removes it` },
  prune: {
    plan({ name }, { engine, volume: now }) {
      if (!engine) return { left: NO_ENGINE };
      if (now === null) return null;
      return now.labels[RESOURCE_LABEL] === `volume/${name}`
        ? { goes: `the volume ${name} with all that is in it` }
        : { left: `the volume ${name} was not made by Muster` };
    },
    async apply(names, { docker }, signal) {
      const failed = new Map<string, FleetError>();
      for (const name of names) {
        try {
          await docker.removeVolume(name, signal);
        } catch (error) {
          if (!(error instanceof FleetError)) throw error;
          failed.set(name, error);
        }
      }
      return failed;
    },
  },
  async apply(step, { docker, files }, signal, { resource }) {
    if (step.action !== "create" || resource === null)
      throw new FleetError("INVALID", `volume has no step ${step.action}`);
    const { name, spec } = resource;
    await refuseDevice(spec.driver_opts, files);
    const labels = { ...spec.labels, [RESOURCE_LABEL]: `volume/${name}` };
    return docker.createVolume(name, { driver: spec.driver, driver_opts: spec.driver_opts, labels }, signal);
  },
  managed: ({ volume: now }) => (now === null ? null : { driver: now.driver }),
  edit: (_resource, { volume: now }) => ({
    what: now === null ? "removed outside of Muster" : "made anew outside of Muster",
    at_ms: null,
  }),
  watch: () => [],
};

/** The local driver mounts whatever it is told, a directory of the host too. */
async function refuseDevice({ device }: Readonly<Record<string, string>>, files: Files): Promise<void> {
  if (device?.startsWith("/")) await refuseProtected(device.replace(/\/+$/, "") || "/", files, "follow");
}
