/**
 * Faults that show only for a host: the same one on forty hosts is one problem that names the resource and the hosts.
 */
import type { Place, Problems } from "./problem.ts";

/** More names than this are counted. */
const MAX_NAMES = 5;

export class HostFaults {
  private readonly found = new Map<
    string,
    { at: Place; message: string; hint: string | undefined; what: string; hosts: string[] }
  >();

  /** @param what the resource, `kind/name` */
  add(host: string, what: string, at: Place, message: string, hint?: string): void {
    const key = `${at.file}:${at.line}:${at.column}:${what}:${message}`;
    const fault = this.found.get(key);
    if (fault === undefined) this.found.set(key, { at, message, hint, what, hosts: [host] });
    else if (!fault.hosts.includes(host)) fault.hosts.push(host);
  }

  get size(): number {
    return this.found.size;
  }

  /** Hands everything to the run's problems. */
  report(problems: Problems): void {
    for (const { at, message, hint, what, hosts } of this.found.values()) {
      const more = hosts.length > MAX_NAMES ? ` and ${hosts.length - MAX_NAMES} more` : "";
      problems.add(at, `${message} (${what} on ${hosts.slice(0, MAX_NAMES).join(", ")}${more})`, hint);
    }
  }
}
