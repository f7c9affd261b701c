/**
 * What the page knows of the fleet, as it is told: first listened, then the last values asked for, so that nothing falls between; and all of it anew after
 * every time that there was no connection. However much comes, the page is painted ten times a second at most.
 */
import { FleetError, parseJson } from "@muster/protocol/errors";
import { FleetEvent } from "@muster/protocol/event";
import { patterns } from "@muster/protocol/subjects";
import { FAULTY_KINDS, type FaultyKind, TELEMETRY } from "@muster/protocol/telemetry/index";
import { Judge, type Judged } from "@muster/view/judge";
import { knownOf, knownOfMissing } from "@muster/view/known";
import { FleetModel, type HostEvent, isTold, type Told } from "@muster/view/model";
import { keepAccess, nextAccess } from "./access.ts";
import { askPast, askSamples } from "./asks.ts";
import { AuditTrail } from "./audit-trail.ts";
import { type Access, type BusState, connectPage, type PageAnswer, type PageBus } from "./bus.ts";
import { type AskPast, History, PAST_MS } from "./history.ts";
import { Questions } from "./questions.ts";
import { Renewal } from "./renewal.ts";
import { Samples } from "./samples.ts";

const FRAME_MS = 100;
const CLOCK_MS = 1_000;
const EVENTS_AT_FIRST = 500;
const HOSTS_A_PAGE = 200;
const ASK_AGAIN_MS = 3_000;
/** Records of hosts are asked for anew that often at most. */
const REFILL_MS = 10_000;

/** Events of these kinds say that what was asked before may be another thing now. */
const ALERTING = new Set(["alert", "drain", "rollout"]);
/** And of these, that there are other hosts, or other groups and labels of theirs. */
const REGROUPING = new Set(["enrolment", "host", "rollout"]);

/** The fleet at one instant. */
export type Frame = {
  readonly hosts: readonly Judged[];
  readonly now_ms: number;
  /** The controllers' clock, by which what they tell is old or not. */
  readonly there_ms: number;
  readonly access: Access;
  readonly events: readonly HostEvent[];
  readonly history: History;
  readonly samples: Samples;
  readonly questions: Questions;
  readonly audit: AuditTrail;
  readonly renewal: Renewal;
  /** Since when there is no connection: everything is as of then. */
  readonly cut_at: number | null;
  /** Why the page is not whole; null = it is. */
  readonly lack: string | null;
  readonly over: string | null;
};

export class Live {
  readonly #brokers: readonly string[];
  readonly renewal: Renewal;
  #access: Access;
  readonly #paint: (frame: Frame) => void;
  readonly #judge = new Judge();
  readonly #history: History;
  readonly #samples: Samples;
  readonly #questions: Questions;
  #audit: AuditTrail;
  /** By how much our clock is ahead of the controllers'. */
  #ahead_ms = 0;
  #bus: PageBus | null = null;
  #model: FleetModel;
  /** One that is being filled after a connection came back; it takes the other's place when it is whole. */
  #next: FleetModel | null = null;
  #lack: string | null = "asking for what there is …";
  #over: string | null = null;
  #pending = false;
  #round = 0;
  #regrouped = false;
  #filled_ms = 0;
  #unreadable = 0;

  constructor(brokers: readonly string[], access: Access, paint: (frame: Frame) => void) {
    this.#brokers = brokers;
    this.#access = access;
    this.#paint = paint;
    this.#model = this.#empty();
    const soon = () => this.#soon();
    const past: AskPast = (host, track, sessions) => {
      const ours_ms = -this.#model.skewOf(host);
      return askPast(this.#connected(), { host, track, sessions, since: this.#now() - PAST_MS }, ours_ms);
    };
    this.#history = new History(past, soon);
    this.#samples = new Samples((kind, host) => askSamples(this.#connected(), kind, host), soon);
    this.#questions = new Questions((method, request) => this.#connected().ask(method, request), soon);
    this.#audit = this.#unread();
    this.renewal = new Renewal((text) => this.#renew(text), soon);
  }

  /** Errors: BUS_UNREACHABLE when no broker was reached at first. */
  async begin(): Promise<void> {
    this.#bus = await this.#connect(this.#access);
    setInterval(() => this.#tick(), CLOCK_MS);
    await this.#fill();
  }

  async #connect(access: Access): Promise<PageBus> {
    let bus: PageBus | null = null;
    bus = await connectPage(
      this.#brokers,
      access,
      [patterns.telemetry(), patterns.event()],
      (subject, body, late_ms) => this.#hear(subject, body, late_ms),
      (state) => {
        // What becomes of one whose place another has taken is nobody's concern.
        if (bus === this.#bus) this.#turn(state);
      },
    );
    return bus;
  }

  /**
   * Goes on by another ticket. Both connections are heard until all that the old one was told has come, so that nothing falls between; an event that
   * both tell counts once.
   */
  async #renew(text: string): Promise<void> {
    const access = await nextAccess(this.#brokers, this.#access, text);
    const bus = await this.#connect(access);
    await bus.settle().catch((error) => {
      void bus.close();
      throw error;
    });
    const old = this.#bus;
    // Whoever is less now shall not go on reading what he was shown before.
    if (access.rank !== this.#access.rank) this.#audit = this.#unread();
    this.#bus = bus;
    this.#access = access;
    keepAccess(access);
    if (this.#model.cut_at !== null || this.#over !== null) {
      this.#over = null;
      this.#turn("open");
    }
    await old?.retire();
  }

  #unread(): AuditTrail {
    return new AuditTrail(
      (request) => this.#connected().ask("audit", request),
      () => this.#soon(),
    );
  }

  /** By the controllers' clock, by which hosts are judged: that of this machine may be wrong by hours. */
  #now(): number {
    return Date.now() - this.#ahead_ms;
  }

  #empty(): FleetModel {
    return new FleetModel(this.#access.fleet, this.#access.person, null);
  }

  #tick(): void {
    if (this.#regrouped && this.#model.cut_at === null && performance.now() >= this.#filled_ms + REFILL_MS)
      void this.#fill();
    this.#soon();
  }

  #turn(state: BusState): void {
    if (state === "cut") this.#model.cut_at ??= this.#now();
    else if (state === "open") {
      this.#history.forget();
      this.#samples.forget();
      this.#questions.stale();
      void this.#fill();
    } else {
      this.#model.cut_at ??= this.#now();
      this.#over =
        this.#access.expires <= this.#now()
          ? "the log-in behind this page has ended"
          : "the fleet does not take this page any more";
    }
    this.#soon();
  }

  /** Tries until a controller answers; hosts that tell of themselves meanwhile are shown already. */
  async #fill(): Promise<void> {
    const round = ++this.#round;
    this.#regrouped = false;
    this.#filled_ms = performance.now();
    const model = this.#model.cut_at === null ? this.#model : this.#empty();
    if (model !== this.#model) this.#next = model;
    while (round === this.#round && this.#over === null) {
      try {
        await this.#bus?.settle();
        await this.#ask(model);
        if (round !== this.#round) return;
        this.#model = model;
        this.#next = null;
        this.#lack = null;
        return this.#soon();
      } catch (error) {
        if (round !== this.#round) return;
        this.#lack = `no controller answers (${(error as Error).message}): only hosts that told something since are here`;
        this.#soon();
        await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
      }
    }
  }

  async #ask(model: FleetModel): Promise<void> {
    const bus = this.#bus;
    if (bus === null) return;
    // Only then it is known by how much our clock is ahead of theirs.
    const again_ms = this.#lack === null ? this.#now() : null;
    const named = new Set<string>();
    const events = bus.ask("events", { since: null, limit: EVENTS_AT_FIRST });
    // Waited for below; what fails before that is told by the hosts' own failure.
    events.catch(() => undefined);
    let after: string | null = null;
    do {
      const page: PageAnswer<"hosts"> = await bus.ask("hosts", { after, limit: HOSTS_A_PAGE });
      this.#ahead_ms = Date.now() - page.now;
      const enrolled = page.hosts.filter(({ record }) => record.state === "enrolled");
      const hosts = enrolled.map((view) => knownOf(view, null, null));
      model.begin(hosts, []);
      for (const { name, health, bgp, heard_at } of hosts) {
        named.add(name);
        if (heard_at === null) continue;
        if (health !== null) this.#history.begin(name, { kind: "health", sample: health }, heard_at);
        if (bgp !== null) this.#history.begin(name, { kind: "bgp", sample: bgp }, heard_at);
      }
      // Controllers from before tell of none.
      const missing = page.missing ?? [];
      model.begin(missing.map(knownOfMissing), []);
      for (const { name } of missing) named.add(name);
      after = page.next;
      this.#soon();
    } while (after !== null);
    model.begin([], (await events).events);
    if (again_ms !== null) model.keep(named, again_ms);
  }

  #connected(): PageBus {
    if (this.#bus === null) throw new FleetError("BUS_UNREACHABLE", "there is no connection");
    return this.#bus;
  }

  #hear(subject: string, body: Uint8Array, late_ms: number): void {
    const [what, id = "", host = "_", kind = ""] = subject.split(".");
    const now_ms = this.#now();
    try {
      if (what === "event") {
        const event = parseJson(FleetEvent, body, subject);
        for (const model of this.#models()) model.tell({ host, event, ...(late_ms > 0 && { late_ms }) });
        if (event.kind === "rollout") this.#questions.stale("rollouts");
        this.#regrouped ||= REGROUPING.has(event.kind);
        if (ALERTING.has(event.kind)) this.#questions.stale("alerts");
      } else if (isTold(kind)) {
        const told = { kind, sample: parseJson(TELEMETRY[kind].sample, body, subject) } as Told;
        const taken = this.#models().map((model) => model.hear(host, id, told, now_ms));
        if (!taken.includes(true)) return;
        this.#history.take(host, told, now_ms);
        if (isFaulty(told.kind)) this.#samples.take(told.kind, host, told.sample as never, now_ms);
      }
    } catch (error) {
      // What cannot be read is said once, and must not end the page: it is a host's word.
      if (this.#unreadable++ === 0) console.warn(`what ${host} tells cannot be read`, error);
    }
    this.#soon();
  }

  #models(): FleetModel[] {
    return this.#next === null ? [this.#model] : [this.#model, this.#next];
  }

  #soon(): void {
    if (this.#pending) return;
    this.#pending = true;
    setTimeout(() => {
      this.#pending = false;
      // A page that nobody looks at is not painted.
      if (document.visibilityState === "visible") requestAnimationFrame(() => this.#paint(this.frame()));
    }, FRAME_MS);
  }

  frame(): Frame {
    const now_ms = this.#now();
    const at_ms = this.#model.cut_at ?? now_ms;
    return {
      hosts: this.#model.hosts(at_ms).map((known) => this.#judge.of(known, at_ms)),
      now_ms,
      there_ms: now_ms,
      access: this.#access,
      events: this.#model.events,
      history: this.#history,
      samples: this.#samples,
      questions: this.#questions,
      audit: this.#audit,
      renewal: this.renewal,
      cut_at: this.#model.cut_at,
      lack: this.#lack,
      over: this.#over,
    };
  }
}

const isFaulty = (kind: string): kind is FaultyKind => (FAULTY_KINDS as readonly string[]).includes(kind);
