/**
 * Kind `network`: a Docker bridge network with fixed subnets. The name is the network's. Muster's own keys, which a Compose file does not have:
 * `subnets` (short for its `ipam`), `public`, `interface`.
 */
import { z } from "zod";

const Subnet = z.union(
  [z.cidrv4(), z.cidrv6()],
  "must be a prefix such as 172.19.0.0/16 or 2001:db8:5000:10::/80",
);

export const Labels = z
  .record(
    z.string().min(1).max(255),
    z.union([z.string().max(4_096), z.number(), z.boolean()]).transform(String),
  )
  .refine(
    (labels) => !Object.keys(labels).some((key) => key.startsWith("muster.")),
    "labels that begin with muster. are Muster's own",
  );

export const Network = z
  .strictObject({
    subnets: z
      .array(Subnet)
      .min(1)
      .max(8)
      .describe(
        "Muster's own. Prefixes of the network; at most one IPv4 and one IPv6, as Docker has it. A network with none of a family does not carry it.",
      )
      .refine(
        (all) =>
          all.filter((each) => each.includes(":")).length <= 1 &&
          all.filter((each) => !each.includes(":")).length <= 1,
        "must be at most one IPv4 and one IPv6 prefix",
      ),
    public: z
      .boolean()
      .default(false)
      .describe("Muster's own. Containers publish `ports` only when they are on a network with this."),
    internal: z
      .boolean()
      .default(false)
      .describe("No way out of the network, and none in from the host's other networks."),
    interface: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]{0,14}$/, "must be an interface name of at most 15 characters")
      .optional()
      .describe(
        "Muster's own. Name of the bridge on the host, for firewall rules; by default Docker makes one up.",
      ),
    mtu: z.int().min(1_280).max(65_535).optional().describe("Muster's own, short for its driver option."),
    driver_opts: z
      .record(
        z.string().max(255),
        z.union([z.string().max(1_024), z.number(), z.boolean()]).transform(String),
      )
      .default({})
      .describe("Options of the bridge driver, as they are."),
    labels: Labels.default({}).describe("For other programs."),
  })
  .describe("A Docker bridge network with fixed subnets. The name is the network's.");
export type Network = z.infer<typeof Network>;
