/** What docs/experiments.md says about each experiment besides its numbers. */
export const COMMENTS: Readonly<Record<string, string>> = {
  sharing:
    'As in the paper, sharing features helps. Joint training is a fifth faster than alternating training here, proposals for the stages not counted (the paper: 25 to 50 %), and ahead of it, where the paper finds them alike. A reason may be that each of the four stages sees 4/7 of these few steps, from random weights; the paper’s start from ImageNet.',
  systems:
    'That proposals of an RPN are nearly free holds: a few milliseconds, where the other methods take hundreds. That they are at least as good does not hold on these scenes: a drawn digit is one segment of nearly one brightness, of which Selective Search finds 98 % with 100 boxes, and an RPN has had only 1200 steps from random weights to find 77 % ([results](results.md#proposals-with-and-without-learning)). On photographs of blood cells it is the other way round: Faster R-CNN 0.909, Fast R-CNN on Selective Search 0.832, SPP-net 0.806 ([results](results.md)). The training is not even either: SPP-net continues from the joint network, R-CNN has 300 scenes, MultiBox 1500 batches of 16. Five scales help SPP-net, which is trained at all of them, and harm the joint network, which has seen one. This table was made by itself, `npm run experiments -- --only systems --steps 1200 --seeds 3 --images 200`, after the others and with newer kernels, so networks that stand in both have other figures. Times are those of the first seed on an idle machine, Selective Search and EdgeBoxes in one thread. R-CNN and one stage have two seeds. One stage at five scales scores 129,000 windows of a scene, for 18 seconds of one core.',
  anchors:
    'The opposite of the paper: fewer anchors are ahead. A reason may be that digits vary little in shape, and that 1200 steps from random weights are few for an RPN with nine times as many outputs. With more steps the order was not measured.',
  lambda:
    'The means have the paper’s order, but the ranges overlap from 1 on: as the paper says, the value matters little.',
  stages:
    'The means are in the opposite order to the paper’s, the ranges overlap. The comparison is not even: the unshared networks have 4/7 of the steps each, the one-stage detector has all of them, and its anchors are 14 400 boxes on 160 x 160 pixels.',
  proposals:
    'Alike: drawing boxes at random instead of by score (no cls) costs most, and the more the fewer there are; plain anchors (no reg) cost a little. Different: more proposals keep helping, and suppression costs a little. A tenth of the paper’s numbers may be too few, so rows of different numbers should not be compared with the paper’s.',
};
