/**
 * RPC `prune`: removes what `removal` of its kind leaves, because somebody's data is in it or others may need it. Only what the content in force does
 * not declare, what Muster made, and what the person has named. Not while a change comes in: it may declare it again.
 */
import type { Call } from "@muster/ports/dispatch";
import type { Kind, ResourceRef, RpcReply, RpcRequest } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { refOf, splitRef } from "@muster/protocol/resources/index";
import { heldWhy } from "../holds.ts";
import { kindOf } from "../resources/index.ts";
import { observe } from "../round.ts";
import type { RpcDoor } from "./door.ts";

type Kept = RpcReply<"prune">["kept"][number];

export const prune =
  (door: RpcDoor) =>
  async ({ refs }: RpcRequest<"prune">, call: Call): Promise<RpcReply<"prune">> => {
    const { events, ports, reconciler } = door;
    const kept = await keptHere(door, call.signal);
    if (refs.length === 0) return { kept, removed: [], failed: [] };
    const by = call.principal?.name;
    if (by === undefined) throw new FleetError("UNSIGNED", "this needs a signer");
    const failed = new Map<ResourceRef, FleetError>();
    const wanted = new Map<Kind, string[]>();
    for (const ref of new Set(refs)) {
      const found = kept.find((each) => each.ref === ref);
      const { kind, name } = splitRef(ref);
      if (found?.removable === true) wanted.set(kind, [...(wanted.get(kind) ?? []), name]);
      else
        failed.set(
          ref,
          new FleetError("NOT_FOUND", found?.what ?? `${ref} is declared, or Muster does not know it here`),
        );
    }
    for (const [kind, names] of wanted) {
      try {
        const errors = await kindOf({ kind }).prune?.apply(names, ports, call.signal);
        for (const [name, error] of errors ?? []) failed.set(`${kind}/${name}`, error);
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        for (const name of names) failed.set(`${kind}/${name}`, error);
      }
    }
    const removed = [...wanted]
      .flatMap(([kind, names]) => names.map((name) => `${kind}/${name}`))
      .filter((ref) => !failed.has(ref));
    for (const ref of removed)
      events.tell({ kind: "resource", severity: "warning", what: `${ref} was removed for good`, ref, by });
    // The next look finds it gone, and forgets it.
    reconciler.bell.ring();
    return { kept, removed, failed: [...failed].map(([ref, error]) => ({ ref, error: error.toReply() })) };
  };

async function keptHere({ ledger, ports, reconciler }: RpcDoor, signal: AbortSignal): Promise<Kept[]> {
  const { accepted, in_force, returned_to, resources } = ledger.state;
  if (in_force === null) return [];
  if (accepted !== null && (!accepted.admitted || accepted.content_hash !== in_force.content_hash))
    throw new FleetError("CONFLICT", "a change is under way on this host: ask again when it is done");
  const contents = [
    await ledger.manifest(in_force),
    ...(returned_to === null ? [] : [await ledger.byContent(returned_to)]),
  ];
  const declared = new Set(contents.flatMap((each) => each?.content.resources.map(refOf) ?? []));
  const holds = await reconciler.holds();
  const found = await Promise.all(
    Object.entries(resources).map(async ([ref, { resource, made }]): Promise<Kept[]> => {
      const { prune: how } = kindOf(resource);
      if (declared.has(ref) || how === undefined) return [];
      const stays = (what: string) => [{ ref, what: what.slice(0, 500), removable: false }];
      const observed = await observe(resource, ports, signal);
      if ("error" in observed) return stays(observed.error.message);
      const plan = how.plan(resource, observed.value, made);
      if (plan === null) return [];
      const held = heldWhy(holds, ref);
      if (held !== null) return stays(held);
      return "left" in plan ? stays(plan.left) : [{ ref, what: plan.goes.slice(0, 500), removable: true }];
    }),
  );
  return found.flat();
}
