"""What the report says under its figures, for a reader who meets them for the first time. Trusted HTML."""

from __future__ import annotations

LEARNING_CURVE = """
Loss in bits per character: how many yes-or-no questions a character still costs on average when the network guesses
what comes next. Both axes are logarithmic. The validation part was never trained on; where its curve turns up while
training goes on down, the network learns by heart. Dotted lines are what a character of the validation part costs
other predictors: {baselines}."""

BASELINES = {
    "uniform": "one that knows only which {characters} characters there are (log<sub>2</sub> of their number, "
    "{value:.2f} bits)",
    "unigram": "one that knows how frequent each of them is ({value:.2f})",
    "bigram": "one that knows how frequent each is after each other one ({value:.2f})",
    "LZMA": "the compressor LZMA after it has read the training part ({value:.2f})",
}

SAMPLES = """
Text that the trained network writes, one character after the other, each drawn from its own prediction; grey is
real text that it was given to begin with. The temperature divides the logits, the logarithms of the predicted
probabilities: low sticks to what is likely, 1 is the network's own opinion."""

NO_HISTORY = """
No history.csv lies beside the model, so the figures of its training are left out."""

GRADIENT_FLOW = """
How strongly a loss depends on the output h<sub>t</sub> of a layer some steps before it. Solid lines are means over
{windows} windows, dashed lines the median window, bands all but the highest and lowest tenth; a mean far above the
median is carried by a few windows. First the last loss of a window alone: what arrives T &minus; t steps back has
passed the recurrence T &minus; t times, so a straight descent on this logarithmic scale is exponential vanishing,
an ascent explosion. Then the same under the losses of all steps: every state also feeds its own, nearby losses,
which drown what comes from far away. That is why a healthy gradient norm in training says nothing about long
memory. The dotted line is the training window of {truncation} steps, beyond which truncated backpropagation sees
nothing."""

SINGULAR_VALUES = """
A small change of a layer's state at step t has become another one k steps later: the Jacobian J<sub>t</sub> is the
derivative of the state at step t by the one before, and the product J<sub>t+k</sub> ... J<sub>t+1</sub> maps one
change to the other. Its singular values, here along {sequences} windows, say by how much it stretches or shrinks
the change, direction by direction. Backpropagation multiplies by the same products, transposed. The largest bounds
how a gradient can grow, the median says what happens to a typical direction; the bands hold the middle 50, 80 and
100 % of all directions, and what is below 10<sup>&minus;12</sup> is not drawn. Near 1 information lasts, far below
1 it is forgotten."""

PATHS = """
How strongly one part of a layer's state ({slots}) depends on its own value k steps before. A gate is a factor
between 0 and 1 that the network computes at every step. The direct path is the product of the gates that carry a
unit's value on without passing a matrix: of forget gates in an LSTM, of update gates in a GRU, of the alphas of a
leaky network. Everything else goes through the recurrent weights at least once. Where the direct path is on top,
memory is in the gates; where the rest is, memory is in the weights. A value of 1 leaves the size of a random
gradient as it is."""

NO_PATH = """
The cell has no direct path, by which gates would carry a unit's value on: every influence of the state on the next
one passes the recurrent weights."""

SATURATION = """
Each point is a unit of a gate or a state, each panel one of these by its name in the equations of the cell: how
much of the time it is near the lower end of its range, against near the upper end (after Karpathy et al. 2015). In
the corner at the lower left a unit works in its linear range and lets gradients pass; on the dotted line it is a
switch, always at one end, where the derivative of its nonlinearity nearly vanishes. A forget gate (f in an LSTM) at
the top remembers, one at the right end forgets. Crosses are dead units."""

SPECTRA = """
Lyapunov exponents of every layer along {sequences} stretches of text ({steps} steps after the transient), largest
first, with bars of one standard error: the average rate, in nats per step, at which small differences of the state
grow (above 0) or fade (below). The first is the rate of almost every difference, the next ones are those of the
directions that fade faster. The first of each layer: {first}.{growth}"""

GROWTH = """ Gradients are carried by the same Jacobians: over long times a gradient changes at the first exponent of
its own layer or of a layer above, whichever is larger. Within a window it first loses what lies in fast directions.
The first figure of the gradients above shows the gradient of the last loss. Its logarithm, in the mean over the
windows, changes per step by {all} from lag 1 on, and by {late} from lag {half} to lag {last}, the second half of the
window. The factor a step on top of the report is another mean: it averages sizes instead of logarithms, so that the
windows with the largest gradients decide it."""

NO_SPECTRA = """
The text is too short for Lyapunov exponents."""

FIXED_POINTS = """
Is there anything that holds the state of a layer while the text says nothing new? One character is repeated
(coloured, from some states of the text): one of those that stand longest in a row in the text, so that the network
does read such inputs. Grey are states while text is read, in the plane of their two largest principal components.
Markers are fixed points, where a layer would come to rest (circle: stable; cross: saddle, from which it moves on;
triangle: unstable in every direction; square: the linearization does not decide). A hollow one lies outside of the
frame and is drawn at its edge. A number beside a marker says how many times further the point lies from the mean
state than the farthest state of the text, in all dimensions, of which the plane shows two. A layer above the first
reads what the one below puts out at its fixed point.
{conclusion}"""

HELD = """
Distance: of a fixed point from the mean of the states of the text, over that of the farthest of these. Slowest time
scale: how many steps a small difference lasts at the fixed point, &minus;1 / ln |&mu;| with &mu; the eigenvalue of
the Jacobian of largest modulus; at a saddle it grows. The last two columns are the median length of a step of the
state, over that while text is read: 1 is as fast as in text, 0 is rest. Searches began at {starts} states, of the
text and along the way; a point that none of them finds may exist all the same."""

REMARKS = """
What the analyses remark:"""

UNITS = """
Averages over all units and steps; besides the states, everything that passes a sigmoid or tanh is called a gate.
Low and high mean below 0.1 and above 0.9 for values between 0 and 1, below &minus;0.9 and above 0.9 for values
between &minus;1 and 1; states that leave that interval have no ends to saturate at. A dead unit has practically the
same value whatever it reads: its standard deviation is below {dead} of the distance between the two thresholds
(without thresholds, of the root mean square). A stuck unit is dead, or near an end for {time} of the time or more.
The diagnosis on top counts stuck units of states alone: a gate that is always open may be what memory is made of."""

NO_GATES = """
This cell, {cell}, has no gate: no sigmoid or tanh besides the new state itself. So only states are shown."""

TIME_SCALES = """
For each unit the time scale &tau; = &minus;1 / ln f, with f the geometric mean over time of its gate on the direct
path: along that path a value fades to 1/e within &tau; steps. Dashed lines are medians. {medians}"""

NO_TIME_SCALES = """
No part of the state has a gate between 0 and 1 on a direct path, so there are no time scales to show."""

OPTIMIZATION = """
First the norm of the gradient of all weights at every update, before and after clipping; {clipped} of the updates
were clipped. A peak far above the rest may come from a Jacobian that stretches much, from a rare piece of text, or
from a learning rate that is too high. Then how far every update moved the weights."""
