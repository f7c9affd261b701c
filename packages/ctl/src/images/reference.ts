/** Where an image's name points to: which registry, which repository there. As Docker reads it; source: distribution/reference. Pure. */
import { splitImage } from "../inventory/images.ts";

export type Reference = {
  /** `https://registry-1.docker.io`; without TLS only on this machine itself, as Docker has it. */
  readonly base: string;
  /** The name under which Docker's configuration keeps the log-in. */
  readonly login: string;
  readonly repository: string;
  readonly tag: string;
};

const HUB = "docker.io";
const HUB_LOGIN = "https://index.docker.io/v1/";
const HUB_API = "registry-1.docker.io";

export function referenceOf(image: string): Reference {
  const { repository: name, tag } = splitImage(image);
  const slash = name.indexOf("/");
  const first = slash === -1 ? "" : name.slice(0, slash);
  const own = first === "localhost" || first.includes(".") || first.includes(":");
  const registry = own ? first : HUB;
  const path = own ? name.slice(slash + 1) : name;
  if (registry !== HUB && registry !== `index.${HUB}`) {
    const local = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/.test(registry);
    return { base: `${local ? "http" : "https"}://${registry}`, login: registry, repository: path, tag };
  }
  const repository = path.includes("/") ? path : `library/${path}`;
  return { base: `https://${HUB_API}`, login: HUB_LOGIN, repository, tag };
}
