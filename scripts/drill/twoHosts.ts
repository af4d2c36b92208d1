/**
 * A second host on this machine, with a network of its own: a network namespace of Linux, joined to ours by a virtual cable.
 * Launchers start processes there through an agent in the place of ssh. It takes root and iproute2 (Debian: iproute2).
 */
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

const HOST = 'rcnn-host-b';
const CABLE = ['rcnn-a', 'rcnn-b'] as const;
const ADDRESSES = ['10.77.0.1', '10.77.0.2'] as const;

export interface TwoHosts {
  /** Of this machine and of the second host. */
  addresses: readonly [string, string];
  /** The network that both are in. */
  network: string;
  /** The program that launchers call as `ssh HOST COMMAND`. */
  agent: string;
  /** Bytes that this machine has sent through the cable so far. */
  sent(): number;
  remove(): void;
}

/** `folder` gets the agent. Null where the system does not allow it. */
export function addHost(folder: string): TwoHosts | null {
  const ip = (args: string): void => void execFileSync('ip', args.split(' '), { stdio: 'pipe' });
  const inside = `netns exec ${HOST} ip`;
  const remove = (): void => void spawnSync('ip', ['netns', 'del', HOST]); // and with it the cable
  remove();
  try {
    ip(`netns add ${HOST}`);
    ip(`link add ${CABLE[0]} type veth peer name ${CABLE[1]} netns ${HOST}`);
    ip(`addr add ${ADDRESSES[0]}/24 dev ${CABLE[0]}`);
    ip(`link set ${CABLE[0]} up`);
    ip(`${inside} addr add ${ADDRESSES[1]}/24 dev ${CABLE[1]}`);
    for (const device of [CABLE[1], 'lo']) ip(`${inside} link set ${device} up`);
  } catch {
    remove();
    return null;
  }
  const agent = path.join(folder, 'agent');
  const there = `exec ip netns exec ${HOST} unshare --uts sh -c "hostname ${HOST}; $*"`;
  const lines = [
    '#!/bin/sh',
    'while [ "${1#-}" != "$1" ]; do shift; done',
    'host=$1; shift',
    `if [ "$host" = ${ADDRESSES[1]} ]; then ${there}; fi`,
    'exec sh -c "$*"',
  ];
  fs.writeFileSync(agent, lines.join('\n') + '\n', { mode: 0o755 });
  return {
    addresses: ADDRESSES,
    network: '10.77.0.0/24',
    agent,
    sent: () => Number(fs.readFileSync(`/sys/class/net/${CABLE[0]}/statistics/tx_bytes`, 'utf8')),
    remove,
  };
}
