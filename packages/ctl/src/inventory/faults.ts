/**
 * Faults that show only for a host: the same one on forty hosts is one problem that names the resource and the hosts.
 */
import type { Place, Problems } from "./problem.ts";

/** More names than this are counted. */
const MAX_NAMES = 5;

export class HostFaults {
  private readonly found = new Map<string, Fault>();

  /** @param what the resource, `kind/name` */
  add(host: string, what: string, at: Place, message: string, hint?: string): void {
    const key = `${at.file}:${at.line}:${at.column}:${message}`;
    const fault = this.found.get(key);
    if (fault === undefined)
      this.found.set(key, { at, message, hint, resources: new Set([what]), hosts: new Set([host]) });
    else {
      fault.resources.add(what);
      fault.hosts.add(host);
    }
  }

  /** Hands everything to the run's problems. */
  report(problems: Problems): void {
    for (const { at, message, hint, resources, hosts } of this.found.values())
      problems.add(at, `${message} (${some(resources)} on ${some(hosts)})`, hint);
  }
}

interface Fault {
  readonly at: Place;
  readonly message: string;
  readonly hint: string | undefined;
  readonly resources: Set<string>;
  readonly hosts: Set<string>;
}

function some(names: ReadonlySet<string>): string {
  const shown = [...names].slice(0, MAX_NAMES).join(", ");
  return names.size > MAX_NAMES ? `${shown} and ${names.size - MAX_NAMES} more` : shown;
}
