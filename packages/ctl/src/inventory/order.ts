/**
 * The order of a host's resources: what one needs comes before it. Needs are those written down, and those that follow from use: a
 * parent directory before what is in it, a file before the service that it reloads, the service `bird` before `bird/main`, networks and volumes
 * before the containers on them, a user before what is its own. Packages come first, as far as they need nothing themselves: they bring the
 * directories, units and groups for the rest.
 */
import type { Resource } from "@muster/protocol/resources/index";
import { type Place, suggest } from "./problem.ts";

export interface Unordered {
  readonly resource: Resource;
  readonly at: Place;
  /** Written down with `needs:`. */
  readonly needs: readonly { readonly ref: string; readonly at: Place }[];
  /** Where it serves metrics, which is not the host's business. */
  readonly metrics?: { readonly text: string; readonly at: Place };
}

export interface OrderFault {
  readonly at: Place;
  readonly message: string;
}

/** Resources in order, each with all its needs, sorted; or faults: a need that is not there, a cycle. Stable: else as given. */
export function orderResources(items: readonly Unordered[]): { resources: Resource[]; faults: OrderFault[] } {
  const byRef = new Map(items.map((item) => [`${item.resource.kind}/${item.resource.name}`, item]));
  const faults: OrderFault[] = [];
  const edges = new Map<string, Set<string>>();
  for (const [ref, item] of byRef) {
    const needs = new Set(implied(item.resource, byRef));
    for (const need of item.needs) {
      if (byRef.has(need.ref)) needs.add(need.ref);
      else {
        const message = `\`${ref}\` needs \`${need.ref}\`, which this host does not have${suggest(need.ref, byRef.keys())}`;
        faults.push({ at: need.at, message });
      }
    }
    edges.set(ref, needs);
  }
  for (const [ref, { resource }] of byRef) {
    const service = notified(resource);
    // Soft: a file that itself needs the service comes after it.
    if (service !== null && edges.has(service) && !reaches(edges, ref, service)) edges.get(service)?.add(ref);
  }
  const sorted: Resource[] = [];
  const state = new Map<string, "open" | "done">();
  const path: string[] = [];
  const visit = (ref: string) => {
    const item = byRef.get(ref);
    if (item === undefined || state.get(ref) === "done") return;
    if (state.get(ref) === "open") {
      const cycle = [...path.slice(path.indexOf(ref)), ref];
      const at = item.needs.find((need) => cycle.includes(need.ref))?.at ?? item.at;
      faults.push({ at, message: `resources need each other in a circle: ${cycle.join(" → ")}` });
      return;
    }
    state.set(ref, "open");
    path.push(ref);
    const needs = [...(edges.get(ref) ?? [])].sort();
    for (const need of needs) visit(need);
    path.pop();
    state.set(ref, "done");
    sorted.push({ ...item.resource, needs });
  };
  for (const [ref, { resource }] of byRef) if (resource.kind === "package") visit(ref);
  for (const ref of byRef.keys()) visit(ref);
  return { resources: sorted, faults };
}

function notified(resource: Resource): string | null {
  if (resource.kind !== "file" || resource.spec.on_change === undefined) return null;
  return "reload" in resource.spec.on_change
    ? resource.spec.on_change.reload
    : resource.spec.on_change.restart;
}

function implied(resource: Resource, known: ReadonlyMap<string, unknown>): string[] {
  const needs: string[] = [];
  if (resource.kind === "file" || resource.kind === "directory") {
    for (let at = resource.name.lastIndexOf("/"); at > 0; at = resource.name.lastIndexOf("/", at - 1)) {
      const parent = `directory/${resource.name.slice(0, at)}`;
      if (known.has(parent)) needs.push(parent);
    }
  }
  if (resource.kind === "container") {
    const used = [
      "service/docker",
      ...Object.keys(resource.spec.networks).map((name) => `network/${name}`),
      ...resource.spec.volumes.map((mount) => mount.split(":")[0] ?? "").flatMap(mountNeeds),
    ];
    needs.push(...used.filter((ref) => known.has(ref)));
  }
  if ((resource.kind === "network" || resource.kind === "volume") && known.has("service/docker"))
    needs.push("service/docker");
  for (const account of accountsOf(resource)) if (known.has(`user/${account}`)) needs.push(`user/${account}`);
  // BIRD checks its configuration over the daemon's own socket.
  if (resource.kind === "bird" && known.has("service/bird")) needs.push("service/bird");
  return needs;
}

/** What a mount's source may stand for: a volume by its name, a path of the host otherwise. */
const mountNeeds = (source: string) =>
  source.startsWith("/") ? [`directory/${source}`, `file/${source}`] : [`volume/${source}`];

function accountsOf(resource: Resource): string[] {
  if (resource.kind === "file" || resource.kind === "directory")
    return [...new Set([resource.spec.owner, resource.spec.group])];
  return resource.kind === "timer" ? [resource.spec.user] : [];
}

function reaches(edges: ReadonlyMap<string, ReadonlySet<string>>, from: string, to: string): boolean {
  const seen = new Set<string>();
  const open = [from];
  for (let ref = open.pop(); ref !== undefined; ref = open.pop()) {
    if (ref === to) return true;
    if (seen.has(ref)) continue;
    seen.add(ref);
    open.push(...(edges.get(ref) ?? []));
  }
  return false;
}
