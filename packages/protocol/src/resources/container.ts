/**
 * Kind `container`: one Docker container; the name is the container's. The keys are those of a service in a Compose file. Muster's own are
 * `files`, `on_change`, `ready`, `log` and `pin`, and two of Compose's mean more here: `ports` needs a network with `public: true`, and `restart`
 * is `unless-stopped` by default, since a server's workloads come back after a reboot without the agent.
 *
 * In the folder `image` is a name with a tag, and `pin` is not written by a person: `ctl` takes it from `images.lock`. `files` maps a directory in
 * the container to a folder of templates there, and to the rendered files in a manifest. `secrets` and references to Vault are refused so far.
 */
import { z } from "zod";
import { Duration, Size } from "./amount.ts";
import {
  Command,
  ContainerFile,
  ContainerLog,
  Healthcheck,
  InnerPath,
  OnChange,
  Ready,
} from "./container-parts.ts";
import { Labels } from "./network.ts";
import { AbsolutePath } from "./path.ts";

const Digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, "must be sha256: and 64 hexadecimal digits");

/** What stands for a tag, which moves: the digest at its registry, or the id of an image that was built or loaded on the host. */
export const ImagePin = z.union([
  z.strictObject({
    digest: Digest.describe("Of the manifest (list) at the registry: fetched by it, never by the tag."),
  }),
  z.strictObject({
    id: Digest.describe("Image id (docker images --no-trunc): cannot be fetched, must be on the host."),
  }),
]);
export type ImagePin = z.infer<typeof ImagePin>;

export const ImageName = z
  .string()
  .max(255)
  .regex(
    /^[a-z0-9]+(?:[._:/-]+[A-Za-z0-9_]+)*$/,
    "must be an image with its tag, such as prom/prometheus:v3.12.0",
  );

const Attachment = z.strictObject({
  ipv4_address: z.ipv4().optional().describe("Fixed; in a subnet of the network."),
  ipv6_address: z.ipv6().optional().describe("Fixed; in a subnet of the network."),
  aliases: z.array(z.string().max(253)).max(16).default([]).describe("Further names there."),
});

const Text = z.union([z.string().max(32_768), z.number(), z.boolean()]).transform(String);
const Plain = Text.refine(
  (text) => !text.startsWith("vault:"),
  "references to Vault cannot be used yet: leave it out until secrets are there",
);
const Limit = z.union([
  z.int().min(-1),
  z.strictObject({
    soft: z.int().min(-1).describe("What holds until the process raises it."),
    hard: z.int().min(-1).describe("How far it may be raised."),
  }),
]);
const Capability = z
  .string()
  .regex(/^(?:ALL|(?:CAP_)?[A-Z][A-Z_]{2,31})$/, "must be a capability such as NET_ADMIN");

/** `[ip:]host:container[/udp]`; a host port is named, since one that Docker picks is not a declared state. */
export const PortMapping = z
  .string()
  .max(80)
  .regex(
    /^(?:(?:\[[0-9a-fA-F:]+\]|\d+(?:\.\d+){3}):)?\d{1,5}:\d{1,5}(?:\/(?:tcp|udp))?$/,
    'must be "443:3000", "443:3000/udp" or "198.51.100.1:443:3000"',
  );

export const VolumeMount = z
  .string()
  .max(600)
  .regex(
    /^(?:[A-Za-z0-9][A-Za-z0-9_.-]*|\/[^:\p{Cc}]*):\/[^:\p{Cc}]+(?::(?:ro|rw))?$/u,
    "must be volume:/in/container or /on/host:/in/container, with :ro for read-only",
  );

export const Container = z
  .strictObject({
    image: ImageName.describe("Name and tag. The tag is for people: `pin` says which image it is."),
    pin: ImagePin.describe("Muster's own. From images.lock; moved by `ctl image update` alone."),
    command: Command.optional().describe("Instead of the image's."),
    entrypoint: Command.optional().describe("Instead of the image's."),
    working_dir: AbsolutePath.optional().describe("Instead of the image's."),
    user: z.string().max(128).optional().describe("User, or user:group, by name or number."),
    group_add: z
      .array(Text)
      .max(64)
      .default([])
      .describe("Further groups of its processes, by name or number."),
    hostname: z.string().max(253).optional().describe("Its name for itself; by default a part of its id."),
    environment: z
      .record(z.string().regex(/^[^=\s\p{Cc}]+$/u, "must be a variable's name"), Plain)
      .default({})
      .describe("Read by everybody who may inspect the container: no secret belongs here."),
    labels: Labels.default({}).describe("For other programs."),
    networks: z
      .record(z.string().max(255), Attachment)
      .default({})
      .describe("None: only its own loopback, unless `network_mode` says otherwise."),
    network_mode: z.enum(["host"]).optional().describe("host: no network of its own."),
    ports: z
      .array(PortMapping)
      .max(256)
      .default([])
      .describe("Published on the host; needs a network with `public: true`."),
    extra_hosts: z.array(z.string().max(300)).max(64).default([]).describe("name:address"),
    dns: z
      .array(z.union([z.ipv4(), z.ipv6()]))
      .max(8)
      .default([])
      .describe("Resolvers instead of the host's."),
    volumes: z
      .array(VolumeMount)
      .max(128)
      .default([])
      .describe("`volume:/in/container` or `/on/host:/in/container`, with `:ro` for read-only."),
    tmpfs: z
      .array(z.string().max(300).regex(/^\//, "must be /path or /path:options"))
      .max(32)
      .default([])
      .describe("Directories in memory."),
    files: z
      .record(AbsolutePath, z.record(InnerPath, ContainerFile))
      .default({})
      .describe(
        "Muster's own. Directory in the container → its files: mounted read-only, replaced as a whole.",
      ),
    on_change: OnChange.default("restart").describe("Muster's own. What a change of `files` alone does."),
    ready: Ready.optional().describe(
      "Muster's own. The replaced container is kept until the new one answers. Without it: its health check, else that it runs for 5 s.",
    ),
    healthcheck: Healthcheck.optional().describe("Instead of the image's."),
    restart: z
      .string()
      .regex(
        /^(?:no|always|unless-stopped|on-failure(?::\d{1,5})?)$/,
        "must be no, always, unless-stopped or on-failure[:n]",
      )
      .default("unless-stopped")
      .describe("What Docker does when it ends: no, always, unless-stopped, on-failure[:n]."),
    stop_signal: z
      .string()
      .max(16)
      .optional()
      .describe("What asks it to end; by default the image's, else SIGTERM."),
    stop_grace_period: Duration.default("10s").describe("Then it is killed."),
    init: z.boolean().default(false).describe("A small init as the main process."),
    mem_limit: Size.optional().describe("Most memory, then it is killed."),
    cpus: z.number().min(0.01).max(1_024).optional().describe("Most processor time, in cores."),
    pids_limit: z.int().min(1).default(4_096).describe("Muster's own default: a fork bomb stays inside."),
    ulimits: z
      .record(z.string().regex(/^[a-z]+$/), Limit)
      .default({})
      .describe("Limits of its processes by name, such as nofile."),
    shm_size: Size.optional().describe("Size of /dev/shm."),
    sysctls: z
      .record(z.string().max(200), Text)
      .default({})
      .describe("Kernel parameters of its own namespaces."),
    cap_add: z.array(Capability).max(64).default([]).describe("Capabilities beside Docker's usual ones."),
    cap_drop: z
      .array(Capability)
      .max(64)
      .default([])
      .describe("Capabilities that it does not get; ALL for all."),
    devices: z
      .array(z.string().max(300).regex(/^\//, "must be /dev/x or /dev/x:/dev/y:rwm"))
      .max(64)
      .default([])
      .describe("Devices of the host."),
    security_opt: z
      .array(z.string().max(300))
      .max(16)
      .default([])
      .describe("Docker's security options, as they are."),
    privileged: z.boolean().default(false).describe("All rights on the host: root in it is root outside."),
    read_only: z.boolean().default(false).describe("Its own root file system."),
    pid: z.enum(["host"]).optional().describe("host: sees the host's processes."),
    log: ContainerLog.prefault({}).describe(
      "Muster's own, instead of Compose's `logging`: the log on the host is always bounded.",
    ),
    secrets: z.never("secrets cannot be used yet").optional().describe("Refused so far."),
  })
  .superRefine((spec, context) => {
    const fault = (path: string, message: string) =>
      context.addIssue({ code: "custom", path: [path], message });
    const own = Object.keys(spec.networks).length > 0;
    if (spec.network_mode === "host" && own) fault("network_mode", "host cannot have `networks` beside it");
    if (spec.network_mode === "host" && spec.ports.length > 0)
      fault(
        "ports",
        "with `network_mode: host` nothing is published: the program's own ports are the host's",
      );
    if (spec.network_mode === undefined && spec.ports.length > 0 && !own)
      fault("ports", "need a network with `public: true` among `networks`");
    const targets = [
      ...Object.keys(spec.files),
      ...spec.volumes.map((mount) => mount.split(":")[1] ?? ""),
      ...spec.tmpfs.map((mount) => mount.split(":")[0] ?? ""),
    ];
    const twice = targets.find((target, index) => targets.indexOf(target) !== index);
    if (twice !== undefined) fault("volumes", `${twice} is mounted twice`);
    if (spec.ready !== undefined && !("command" in spec.ready) && !own && spec.network_mode === undefined)
      fault("ready", "asks over a network, and the container has none");
  })
  .describe(
    "One Docker container; the keys are those of a service in a Compose file. The one that is replaced is kept until the new one answers.",
  );
export type Container = z.infer<typeof Container>;

/** The public-network rule, for a whole host. Names of containers whose ports no public network publishes, each with the networks it has. */
export function withoutPublicNetwork(
  resources: readonly { readonly kind: string; readonly name: string; readonly spec: unknown }[],
): { readonly name: string; readonly networks: readonly string[] }[] {
  const open = new Set(
    resources.flatMap(({ kind, name, spec }) =>
      kind === "network" && (spec as { public: boolean }).public ? [name] : [],
    ),
  );
  return resources.flatMap(({ kind, name, spec }) => {
    if (kind !== "container") return [];
    const { ports, networks } = spec as Container;
    const on = Object.keys(networks);
    return ports.length > 0 && !on.some((each) => open.has(each)) ? [{ name, networks: on }] : [];
  });
}
