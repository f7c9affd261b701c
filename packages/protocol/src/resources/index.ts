/**
 * The table of resource kinds: one schema a kind. A kind that is missing here or in the agent's table is a compile error.
 */
import { z } from "zod";
import { FleetError, parse } from "../errors.ts";
import { ResourceRef } from "../names.ts";
import { Bird } from "./bird.ts";
import { Certificate } from "./certificate.ts";
import { Check } from "./check.ts";
import { Container } from "./container.ts";
import { Directory } from "./directory.ts";
import { File } from "./file.ts";
import { Log } from "./log.ts";
import { Network } from "./network.ts";
import { Package } from "./package.ts";
import { AbsolutePath } from "./path.ts";
import { Service } from "./service.ts";
import { Sysctl } from "./sysctl.ts";
import { Timer } from "./timer.ts";
import { User } from "./user.ts";
import { Volume } from "./volume.ts";

/** What the kind does with a hand edit when the resource does not say: put it back, or show it and leave it (`ux` §4). */
export type OnDrift = "correct" | "report" | "ask";

type KindRow<S extends z.ZodType> = {
  readonly spec: S;
  /** What a resource's name must look like. */
  readonly name: z.ZodType<string>;
  readonly on_drift: OnDrift;
  /** Whether a change can cut the host off: applied unconfirmed, under a timer. */
  readonly guarded: boolean;
};

const kind = <S extends z.ZodType>(
  spec: S,
  name: z.ZodType<string>,
  on_drift: OnDrift,
  guarded: boolean,
): KindRow<S> => ({
  spec,
  name,
  on_drift,
  guarded,
});

const UnitName = z
  .string()
  .max(200)
  .regex(/^[A-Za-z0-9@_.:-]+$/, "must be a unit's name");
const SysctlKey = z
  .string()
  .max(200)
  .regex(/^[a-z0-9_-]+(\.[A-Za-z0-9_/@-]+)+$/, "must be a key such as net.ipv6.conf.all.forwarding");
const DockerName = z
  .string()
  .regex(
    /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/,
    "must be 1 to 63 of letters, digits, _ . - and begin with a letter or digit",
  );
const PackageName = z
  .string()
  .max(128)
  .regex(/^[a-z0-9][a-z0-9+.-]+$/, "must be the name of a Debian package");
const TimerName = z
  .string()
  .max(128)
  .regex(/^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/, "must be a unit's name without .timer")
  .refine((name) => !/\.(timer|service)$/.test(name), "must be a unit's name without .timer");
const UserName = z
  .string()
  .regex(/^[a-z_][a-z0-9_-]{0,31}$/, "must be a log-in name")
  .refine((name) => name !== "root", "must not be root: Muster does not manage it");
const CheckName = z
  .string()
  .regex(
    /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/,
    "must be 1 to 63 of letters, digits, _ . - and begin with a letter or digit",
  );
const Main = z.literal("main", "must be main: a host has one BIRD");

export const KINDS = {
  directory: kind(Directory, AbsolutePath, "correct", false),
  file: kind(File, AbsolutePath, "correct", false),
  service: kind(Service, UnitName, "correct", false),
  sysctl: kind(Sysctl, SysctlKey, "correct", false),
  network: kind(Network, DockerName, "correct", false),
  volume: kind(Volume, DockerName, "report", false),
  container: kind(Container, DockerName, "correct", false),
  package: kind(Package, PackageName, "report", false),
  timer: kind(Timer, TimerName, "correct", false),
  user: kind(User, UserName, "correct", false),
  bird: kind(Bird, Main, "report", true),
  check: kind(Check, CheckName, "correct", false),
  certificate: kind(Certificate, CheckName, "report", false),
  log: kind(Log, CheckName, "correct", false),
} as const;

export type Kind = keyof typeof KINDS;
export const KIND_NAMES = Object.keys(KINDS) as Kind[];

/** The spec of a kind. */
export type Spec<K extends Kind> = z.output<(typeof KINDS)[K]["spec"]>;

export const OnDriftSchema = z
  .enum(["correct", "report", "ask"])
  .describe("What a hand edit meets: it is put back, shown, or asked about.");

/** One managed thing on a host, as it stands in a manifest. */
export type Resource = {
  [K in Kind]: { kind: K; name: string; spec: Spec<K>; needs: ResourceRef[]; on_drift?: OnDrift | undefined };
}[Kind];

const Shape = z.strictObject({
  kind: z.enum(KIND_NAMES as [Kind, ...Kind[]]).describe("What it is."),
  name: z.string().max(255).describe("Its name; its form is the kind's."),
  spec: z.unknown().describe("By the schema of its kind."),
  needs: z.array(ResourceRef).max(256).describe("What comes before it."),
  on_drift: OnDriftSchema.optional(),
});

/** A resource by the schema of its own kind. */
export const Resource = Shape.transform((shape, context): Resource => {
  const row: KindRow<z.ZodType> = KINDS[shape.kind];
  const name = row.name.safeParse(shape.name);
  const spec = row.spec.safeParse(shape.spec);
  if (name.success && spec.success) return { ...shape, spec: spec.data } as Resource;
  for (const [field, { error }] of [
    ["name", name],
    ["spec", spec],
  ] as const) {
    for (const issue of error?.issues ?? []) {
      context.addIssue({
        code: "custom",
        message: `${shape.kind}/${shape.name}: ${issue.message}`,
        path: [field, ...issue.path],
      });
    }
  }
  return z.NEVER;
});

/** `kind/name`. */
export const refOf = (resource: { kind: string; name: string }): ResourceRef =>
  `${resource.kind}/${resource.name}`;

/** Splits `kind/name`. Errors: INVALID for an unknown kind. */
export function splitRef(ref: ResourceRef): { kind: Kind; name: string } {
  const slash = parse(ResourceRef, ref, "resource").indexOf("/");
  const name = ref.slice(0, slash);
  const found = KIND_NAMES.find((each) => each === name);
  if (found === undefined)
    throw new FleetError("INVALID", `${name} is not a kind; there are ${KIND_NAMES.join(", ")}`);
  return { kind: found, name: ref.slice(slash + 1) };
}

export {
  Bird,
  Certificate,
  Check,
  Container,
  Directory,
  File,
  Log,
  Network,
  Package,
  Service,
  Sysctl,
  Timer,
  User,
  Volume,
};
