/** A tensor seen as [outer, channels, inner]: any axis is `channels`, those before it and those after it are merged. */
export interface ChannelView {
  outer: number;
  channels: number;
  inner: number;
}

/** Calls `visit` with the indices of the channels of every position (outer, inner), position by position. */
export function eachPosition(
  { outer, channels, inner }: ChannelView,
  visit: (channelIndices: number[], position: number) => void,
): void {
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++)
      visit(
        Array.from({ length: channels }, (_, c) => (o * channels + c) * inner + i),
        o * inner + i,
      );
}
