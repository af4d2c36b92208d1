/** Processes that are tasks of this one: their calls meet in memory, as those of MPI do in a library. */
import type { Communicator } from '../../src/distributed/communicator.ts';
import { Processes } from '../../src/distributed/processes.ts';

interface Call {
  kind: string;
  given: unknown[];
  resolve: ((all: unknown[]) => void)[];
}

/** Runs `work` in `size` processes side by side; resolves with what each gives. */
export async function asProcesses<T>(size: number, work: (processes: Processes) => Promise<T>): Promise<T[]> {
  const calls: Call[] = [];
  const join = (rank: number, at: number, kind: string, given: unknown): Promise<unknown[]> => {
    const call = (calls[at] ??= { kind, given: [], resolve: [] });
    if (call.kind !== kind) throw new Error(`call ${at}: process ${rank} calls ${kind}, another ${call.kind}`);
    call.given[rank] = given;
    return new Promise((resolve) => {
      call.resolve.push(resolve);
      if (call.resolve.length === size) call.resolve.forEach((done) => done(call.given));
    });
  };
  return Promise.all(
    Array.from({ length: size }, (_, rank) => {
      let at = 0;
      const traffic = { sent: 0, received: 0, calls: 0, milliseconds: 0, waited: 0 };
      const communicator: Communicator = {
        rank,
        size,
        traffic,
        nameOf: (other) => `rank ${other}`,
        async gather(send, into, counts) {
          if (send.length !== counts[rank])
            throw new Error(`process ${rank} sends ${send.length}, not ${counts[rank]}`);
          const all = (await join(rank, at++, 'gather', send.slice())) as Uint8Array[];
          let start = 0;
          for (const part of all) {
            into.set(part, start);
            start += part.length;
          }
          traffic.sent += send.length * (size - 1);
        },
        async exchange(send, sendCounts, into, counts) {
          const all = (await join(rank, at++, 'exchange', { send: send.slice(), sendCounts })) as {
            send: Uint8Array;
            sendCounts: number[];
          }[];
          let start = 0;
          all.forEach(({ send, sendCounts }, other) => {
            const from = sendCounts.slice(0, rank).reduce((sum, count) => sum + count, 0);
            if (sendCounts[rank] !== counts[other]) throw new Error('the counts of a pair differ');
            into.set(send.subarray(from, from + counts[other]!), start);
            start += counts[other]!;
          });
          traffic.sent += sendCounts.reduce((sum, count, other) => sum + (other === rank ? 0 : count), 0);
        },
        meet: async (word) => (await join(rank, at++, 'meet', word)) as number[],
      };
      return work(new Processes(communicator));
    }),
  );
}
