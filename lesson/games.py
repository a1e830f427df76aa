"""What to expect of other games than Space Invaders, a sentence each."""

from languages import N_

__all__ = ["EXPECT", "REFERENCE"]

REFERENCE = "SpaceInvadersNoFrameskip-v4"  # the game of the reference run
EXPECT = {  # what runs of minutes, and the scores of other A2C agents, show
    "BreakoutNoFrameskip-v4": N_(
        "After each lost life the ball waits until the agent itself presses FIRE, which it has to "
        "learn; the score climbs slowly at first, because few balls are hit by chance."
    ),
    "PongNoFrameskip-v4": N_(
        "There are no lives, so an episode is a whole game; scores go from −21 to 21, and at first "
        "nearly every point is lost and the curve hardly moves."
    ),
    "FreewayNoFrameskip-v4": N_(
        "Play at random hardly ever brings the chicken across the road, so the first rewards are "
        "long in coming. Greedy play may cross all the same before anything is learnt, where the "
        "likeliest of three nearly equal actions happens to be UP: look at the entropy."
    ),
    "MontezumaRevengeNoFrameskip-v4": N_(
        "Play at random hardly ever finds a reward, and an agent that learns from rewards alone "
        "learns nothing; greedy play may stand still until its game is cut. Take it to see what "
        "A2C cannot do, not for points."
    ),
    "MsPacmanNoFrameskip-v4": N_(
        "Once rewards are clipped a ghost pays no more than a pellet, so nothing teaches the agent "
        "to hunt, though ghosts make the high scores."
    ),
}
