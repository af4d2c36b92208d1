/** What is to be said of an experiment of docs/experiments.md beside its numbers. */
export const COMMENTS: Readonly<Record<string, string>> = {
  sharing:
    'As in the paper, sharing features helps. Joint training is a fifth faster than alternating training here (the paper: 25 to 50 %) and ahead of it, where the paper finds them alike: each of the four stages sees 4/7 of these few steps from random weights, the paper’s start from ImageNet.',
  anchors:
    'The opposite of the paper: fewer anchors are ahead. All digits are about square and their sizes lie within a factor of four, and 1200 steps from random weights are few for an RPN with nine times as many outputs; with more steps the order was not measured.',
  lambda:
    'The means have the paper’s order, but the ranges overlap from 1 on: as the paper says, the value matters little.',
  stages:
    'The opposite of the paper, with overlapping ranges: the unshared networks have 4/7 of the steps each, the one-stage detector has all of them, and the dense anchors are 14 400 boxes on 160 x 160 pixels.',
  proposals:
    'Alike: drawing boxes at random instead of by score (no cls) costs most, and the more the fewer there are; plain anchors (no reg) cost a little. Different: more proposals keep helping and suppression costs a little, as the RPN of 1200 steps ranks less well. A tenth of the paper’s numbers may be too few, so rows of different numbers should not be compared with the paper’s.',
};
