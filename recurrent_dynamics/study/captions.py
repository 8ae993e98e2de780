"""What the report says under its figures, for a reader who meets them for the first time. Trusted HTML."""

from __future__ import annotations

LEARNING_CURVE = """
Loss in bits per character: how many yes-or-no questions a character still costs on average when the network guesses
what comes next. A network that knows nothing needs log<sub>2</sub> of the number of characters. The validation part
was never trained on; where its curve turns up while training goes on down, the network learns by heart."""

SAMPLES = """
Text that the trained network writes, one character after the other, each drawn from its own prediction; grey is real
text that it was given to begin with. The temperature divides the logits: low sticks to what is likely, 1 is the
network's own opinion."""

NO_HISTORY = """
No history.csv lies beside the model, so the figures of its training are left out."""

GRADIENT_FLOW = """
How strongly a loss depends on the state some steps before it, averaged over {windows} windows (band: all but the
highest and lowest tenth). Left, the last loss of a window alone: what arrives T &minus; t steps back has passed the
recurrence T &minus; t times, so a straight descent on this logarithmic scale is exponential vanishing, an ascent
explosion. Right, the same under the losses of all steps: every state also feeds its own, nearby losses, which drown
what comes from far away. That is why a healthy gradient norm in training says nothing about long memory. The dotted
line is the training window of {truncation} steps, beyond which truncated backpropagation sees nothing."""

SINGULAR_VALUES = """
Singular values of the products J<sub>t+k</sub> ... J<sub>t+1</sub>, where J<sub>t</sub> is the derivative of the state
at step t by the one before, along {sequences} windows: by how much k steps stretch or shrink a small change of the
state, direction by direction. Backpropagation multiplies by the same products, transposed. The largest bounds how a
gradient can grow, the median says what happens to a typical direction; the bands hold the middle 50, 80 and 100 % of
all directions. Near 1 information lasts, far below 1 it is forgotten."""

PATHS = """
One slot of the state after k steps, as a function of itself before. The direct path is the product of the factors
that carry a unit's value on without passing a matrix: of forget gates in an LSTM, of update gates in a GRU, of the
alphas of a leaky network. Everything else goes through the recurrent weights at least once. Where the direct path is
on top, memory is in the gates; where the rest is, memory is in the weights. A value of 1 leaves the size of a random
gradient as it is."""

NO_PATH = """
The cell has no direct path: every influence of the state on the next one passes the recurrent weights."""

SATURATION = """
Each point is a unit: how much of the time it is near the lower end of its range, against near the upper end (after
Karpathy et al. 2015). In the corner at the lower left a unit works in its linear range and lets gradients pass; on the
dotted line it is a switch, always at one end, where the derivative of its nonlinearity nearly vanishes. A forget gate
at the top remembers, one at the right end forgets. Black crosses are dead units."""

SPECTRA = """
Lyapunov exponents of every layer along {sequences} stretches of text ({steps} steps after the transient), largest
first, with bars of one standard error: the average rate, in nats per step, at which small differences of the state grow
(above 0) or fade (below) in ever further directions. Gradients are carried by the same Jacobians, so that the first
exponent is also their rate over long times. The largest of all is {first}: {memory}."""

NO_SPECTRA = """
The text is too short for Lyapunov exponents."""

FIXED_POINTS = """
Where each layer goes while one character is repeated (coloured, from some states of the text): the characters that
stand longest in a row in the text, so that the network does read such inputs. Markers are fixed points of the whole
state, where a layer would come to rest (circle: stable; cross: saddle, from which it moves on; triangle: unstable in
every direction; square: the linearization does not decide), in the plane of the two largest principal components of the
states that it goes through in text (grey). A number beside a marker is how many times further it lies from their mean
than the farthest of them; a point outside of the frame is drawn at its edge. A layer above the first reads what the one
below puts out at its fixed point. {conclusion}"""

HELD = """
Distance: of a fixed point from the mean of the states of the text, over that of the farthest of these. Slowest: how
many steps a small difference lasts at the fixed point, &minus;1 / ln |&mu;| with &mu; the eigenvalue of the Jacobian
of largest modulus; at a saddle it grows. The last two columns are the median length of a step of the state, over that
while text is read: after as many repetitions as the text has in a row at most, and after {repetitions:,}. Searches
began at {starts} states, of the text and along the way; a point that none of them finds may exist all the same."""

REMARKS = """
What the analyses remark:"""

UNITS = """
Averages over all units and steps. Low and high mean below 0.1 and above 0.9 for sigmoids, below &minus;0.9 and above
0.9 for values between &minus;1 and 1; slots that leave that interval have no ends to saturate at. A dead unit has
practically the same value whatever it reads: its standard deviation is below 1 % of the distance between the two
thresholds."""

NO_GATES = """
The equations of {cell} hold no gate (no sigmoid or tanh besides the new state itself), so only states are shown."""

TIME_SCALES = """
For each unit of a slot the time scale &tau; = &minus;1 / ln f, with f the geometric mean over time of its direct
factor: along the direct path a value fades to 1/e within &tau; steps. Dashed lines are medians. Units with long time
scales keep things such as an open bracket or the indentation; short ones spell."""

NO_TIME_SCALES = """
No slot has a direct factor between 0 and 1, so there are no time scales to show."""

OPTIMIZATION = """
Left, the norm of the gradient of all weights at every update, before and after clipping; {clipped:.1%} of the updates
were clipped. Peaks far above the rest mean explosion by a large Jacobian, and clipping keeps their direction but not
their length. Right, how far every update moved the weights: with the learning rate it shrinks towards the end, so
that the weights settle."""
