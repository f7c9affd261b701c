/**
 * `images.lock` of the fleet folder: which image each tag stands for, by its digest at the registry or, for an image that was built or loaded on
 * a host, by its id there. Written by `ctl image update` alone, committed by people, one line an entry, sorted, so that merges work.
 */
import type { ImagePin } from "@muster/protocol/resources/container";
import { type Place, type Problems, suggest } from "./problem.ts";

export const IMAGES_FILE = "images.lock";
const HEAD = "# Which image each tag stands for. Written by `ctl image update`; commit it.\n";

/** Image with its tag → pin. */
export type ImagePins = ReadonlyMap<string, ImagePin>;

/** Reads the text of the lock; bad lines are problems. */
export function readImages(text: string, problems: Problems): ImagePins {
  const pins = new Map<string, ImagePin>();
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const at = { file: IMAGES_FILE, line: index + 1, column: 1 };
    const [image = "", pin = "", ...rest] = line.trim().split(/\s+/);
    const match = /^(id=)?(sha256:[0-9a-f]{64})$/.exec(pin);
    if (/^[<=>]{7}/.test(line)) problems.add(at, "a merge was left undone here");
    else if (match === null || rest.length > 0)
      problems.add(at, "must be an image and its digest", "NAME:TAG sha256:…, or NAME:TAG id=sha256:…");
    else {
      const [, id, digest = ""] = match;
      const next: ImagePin = id === undefined ? { digest } : { id: digest };
      const before = pins.get(image);
      if (before !== undefined && JSON.stringify(before) !== JSON.stringify(next))
        problems.add(at, `${image} stands here twice with different digests`, `ctl image update ${image}`);
      pins.set(image, next);
    }
  }
  return pins;
}

export function printImages(pins: ImagePins): string {
  const lines = [...pins]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([image, pin]) => `${image} ${"digest" in pin ? pin.digest : `id=${pin.id}`}\n`);
  return HEAD + lines.join("");
}

/** An image as the folder has it: a tag that the lock pins, `name:tag@sha256:…`, or the id of an image that is on the host. */
export type DeclaredImage = { readonly image: string; readonly pin: ImagePin | null };

export function declaredImage(text: string): DeclaredImage {
  if (/^sha256:[0-9a-f]{64}$/.test(text)) return { image: text, pin: { id: text } };
  const [image = "", digest] = text.split("@");
  if (digest !== undefined && /^sha256:[0-9a-f]{64}$/.test(digest)) return { image, pin: { digest } };
  return { image: text, pin: null };
}

/** `grafana/grafana` of `grafana/grafana:12.1.0`, and its tag, `latest` when it says none. A colon before the last slash is a registry's port. */
export function splitImage(image: string): { readonly repository: string; readonly tag: string } {
  const colon = image.indexOf(":", image.lastIndexOf("/") + 1);
  return colon === -1
    ? { repository: image, tag: "latest" }
    : { repository: image.slice(0, colon), tag: image.slice(colon + 1) };
}

/** What is wrong with an image that no line pins. */
export function unpinned(image: string, pins: ImagePins): { message: string; hint: string } {
  return {
    message: `${IMAGES_FILE} has no line for ${image}${suggest(image, pins.keys())}`,
    hint: `ctl image update ${image}`,
  };
}

/** An image that the folder names, with where, and the containers that use it. */
export type UsedImage = {
  readonly image: string;
  readonly at: Place;
  readonly containers: Set<string>;
  readonly hosts: Set<string>;
};
