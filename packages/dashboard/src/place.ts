/** Where one is, as the address says it behind its #: a view (`/host/ixp1`), and how it is looked at (`/?by=site`). So a reload and a bookmark keep it. */
import { useLayoutEffect, useState } from "preact/hooks";
import { ticketIn } from "./access.ts";

export type Place = { readonly path: readonly string[]; readonly ways: URLSearchParams };

/** What no view can be made of is the first view. */
export function placeOf(hash: string): Place {
  const [path = "", ways = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  try {
    return { path: path.split("/").map(decodeURIComponent), ways: new URLSearchParams(ways) };
  } catch {
    return { path: [""], ways: new URLSearchParams() };
  }
}

/** How each view was looked at last: who comes back finds it so. */
const left = new Map<string, string>();

/** Where a view is gone to. */
export const hrefOf = (view: string): string => left.get(view) ?? `#/${view}`;

let here: Place = placeOf("");

function noted(): Place {
  // A ticket is no place: who shows one stays where he is.
  if (ticketIn(location.hash) !== null) return here;
  const place = placeOf(location.hash);
  here = place;
  if (place.path.length === 1) left.set(place.path[0] ?? "", location.hash || "#/");
  return place;
}

/** The place as it is; drawn anew when it changes. */
export function usePlace(): Place {
  const [place, setPlace] = useState(noted);
  useLayoutEffect(() => {
    const turn = () => setPlace(noted());
    addEventListener("hashchange", turn);
    return () => removeEventListener("hashchange", turn);
  }, []);
  return place;
}

/** One way of looking, which stands in the address where it is not the usual one. */
export function useWay(name: string, usual: string): [string, (value: string) => void] {
  const { ways } = usePlace();
  const set = (value: string) => {
    const { path, ways: now } = placeOf(location.hash);
    if (value === usual) now.delete(name);
    else now.set(name, value);
    const text = now.toString();
    // Not `replaceState`, of which nobody hears.
    location.replace(`#/${path.map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`);
  };
  return [ways.get(name) ?? usual, set];
}
