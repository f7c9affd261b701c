/**
 * What is read of GoBGP's API, by the numbers of its fields. They are the same in version 3 and 4; the services' names and some enumerations are not. A peer's
 * password, which GoBGP sends too, is not among them. Source: osrg/gobgp, api/gobgp.proto (3.10) and proto/api/gobgp.proto (4.8).
 */
import { flag, type Message, many, one, present, type Shape, text, whole } from "../ports/protobuf.ts";

const Timestamp = { seconds: whole(1) };
const Family = { afi: whole(1), safi: whole(2) };
const Messages = { notification: whole(1), update: whole(2), total: whole(7) };
/** Version 3: an Any with its type's name. Version 4: one field of this message is there. */
const Capability = {
  type_url: text(1),
  multi_protocol: present(2),
  route_refresh: present(3),
  carrying_label_info: present(4),
  extended_nexthop: present(5),
  graceful_restart: present(6),
  four_octet_asn: present(7),
  add_path: present(8),
  enhanced_route_refresh: present(9),
  long_lived_graceful_restart: present(10),
  route_refresh_cisco: present(11),
  fqdn: present(12),
  software_version: present(13),
  extended_message: present(14),
};
export type Capability = Message<typeof Capability>;

const AfiSafi = {
  config: one(2, { family: one(1, Family), enabled: flag(2) }),
  state: one(3, { received: whole(3), accepted: whole(4), advertised: whole(5) }),
  prefix_limits: one(7, { max_prefixes: whole(2) }),
};
export type AfiSafi = Message<typeof AfiSafi>;

const Peer = {
  conf: one(2, {
    description: text(2),
    local_asn: whole(3),
    neighbor_address: text(4),
    peer_asn: whole(5),
    neighbor_interface: text(11),
  }),
  ebgp_multihop: one(3, { enabled: flag(1) }),
  state: one(5, {
    local_asn: whole(3),
    messages: one(4, { received: one(1, Messages), sent: one(2, Messages) }),
    neighbor_address: text(5),
    peer_asn: whole(6),
    type: whole(8),
    session_state: whole(13),
    admin_state: whole(15),
    flops: whole(17),
    remote_cap: many(18, Capability),
    local_cap: many(19, Capability),
    router_id: text(20),
  }),
  timers: one(6, {
    config: one(1, { connect_retry: whole(1) }),
    state: one(2, {
      negotiated_hold_time: whole(5),
      uptime: one(6, Timestamp),
      downtime: one(7, Timestamp),
    }),
  }),
  transport: one(7, { local_address: text(1), remote_port: whole(6) }),
  afi_safis: many(10, AfiSafi),
};
export type Peer = Message<typeof Peer>;

const Rpki = {
  conf: one(1, { address: text(1), remote_port: whole(2) }),
  state: one(2, {
    uptime: one(1, Timestamp),
    downtime: one(2, Timestamp),
    up: flag(3),
    record_ipv4: whole(4),
    record_ipv6: whole(5),
    serial: whole(8),
    end_of_data: whole(14),
  }),
};
export type Rpki = Message<typeof Rpki>;

export const ANSWERS = {
  GetBgp: { global: one(1, { asn: whole(1), router_id: text(2) }) },
  ListPeer: { peer: one(1, Peer) },
  ListDynamicNeighbor: { dynamic_neighbor: one(1, { prefix: text(1) }) },
  ListRpki: { server: one(1, Rpki) },
  ListPath: { destination: one(1, { prefix: text(1), paths: many(2, { neighbor_ip: text(15) }) }) },
} as const satisfies Record<string, Shape>;
