/** What docs/experiments.md says about each experiment besides its numbers. */
export const COMMENTS: Readonly<Record<string, string>> = {
  sharing:
    'As in the paper, sharing features helps. Joint training is a fifth faster than alternating training here, proposals for the stages not counted (the paper: 25 to 50 %), and ahead of it, where the paper finds them alike. A reason may be that each of the four stages sees 4/7 of these few steps, from random weights; the paper’s start from ImageNet.',
  systems:
    'The other systems’ rows need the proposals of 4400 scenes first, which take longer than the networks; `npm run experiments -- --only systems` runs this table alone.',
  anchors:
    'The opposite of the paper: fewer anchors are ahead. A reason may be that digits vary little in shape, and that 1200 steps from random weights are few for an RPN with nine times as many outputs. With more steps the order was not measured.',
  lambda:
    'The means have the paper’s order, but the ranges overlap from 1 on: as the paper says, the value matters little.',
  stages:
    'The means are in the opposite order to the paper’s, the ranges overlap. The comparison is not even: the unshared networks have 4/7 of the steps each, the one-stage detector has all of them, and its anchors are 14 400 boxes on 160 x 160 pixels.',
  proposals:
    'Alike: drawing boxes at random instead of by score (no cls) costs most, and the more the fewer there are; plain anchors (no reg) cost a little. Different: more proposals keep helping, and suppression costs a little. A tenth of the paper’s numbers may be too few, so rows of different numbers should not be compared with the paper’s.',
};
