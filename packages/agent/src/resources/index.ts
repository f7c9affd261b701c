/** The table of resource kinds: one that the protocol has and this lacks is a compile error. */
import type { Kind } from "@muster/protocol";
import { bird } from "./bird.ts";
import { certificate } from "./certificate.ts";
import { check } from "./check.ts";
import { container } from "./container.ts";
import { directory } from "./directory.ts";
import { file } from "./file.ts";
import type { ResourceKind } from "./kind.ts";
import { log } from "./log.ts";
import { network } from "./network.ts";
import { packageKind } from "./package.ts";
import { service } from "./service.ts";
import { sysctl } from "./sysctl.ts";
import { timer } from "./timer.ts";
import { user } from "./user.ts";
import { volume } from "./volume.ts";

export const RESOURCE_KINDS = {
  directory,
  file,
  service,
  sysctl,
  network,
  volume,
  container,
  package: packageKind,
  timer,
  user,
  bird,
  check,
  certificate,
  log,
} satisfies {
  [K in Kind]: ResourceKind<K, unknown>;
};

/** A kind whose resource and observation are known to belong together by whoever holds them. */
export type AnyKind = ResourceKind<Kind, unknown>;

/** The kind of a resource or a split reference. */
export function kindOf(of: { readonly kind: Kind }): AnyKind {
  // A union of kinds takes the resources that all of them have in common, which are none.
  return RESOURCE_KINDS[of.kind] as AnyKind;
}
