"""All settings of the synthetic twins."""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class TwinSettings:
    """Difficulty, variety and size of a twin. A pair holds the bounds of a uniform distribution.

    The first group determines how hard the emotions are to tell apart. Strengths of facial actions are fractions of the
    action's full blend shape.

    Attributes:
        intensity: Strength of the expression at the apex, per sequence; 1 is the full prototype. It matters
            most.
        contempt_intensity: The same for contempt, whose prototype is small and one-sided.
        action_gain: Spread (standard deviation of the logarithm) of how strongly a person uses each action.
        action_jitter: The same spread, redrawn for each sequence.
        action_dropout: Probability that an action of the prototype, other than its strongest, is missing.
        action_noise: Largest strength of an action unrelated to the emotion.
        num_noise_actions: How many such actions a sequence has.
        blend: Largest share of a second emotion that is mixed in.
        asymmetry: Largest difference in strength between the two sides of the face, as a fraction.
        onset: When the expression starts, as a fraction of the sequence.
        apex: When the expression is complete, as a fraction of the sequence; the last frame always is the apex.
        resting_action: Largest strength of the actions in a person's neutral face.
        head_yaw: Largest turn of the head to a side, in degrees.
        head_pitch: Largest nod, in degrees.
        head_roll: Largest tilt, in degrees.
        head_drift: Largest change of each of these angles within a sequence, in degrees.
        gaze: Largest strength of the gaze to a side, up or down.
        blink: Probability that a sequence has a blink.
        shape_spread: Standard deviation of the local face shape (nose, chin, mouth, ...), 1 being MakeHuman's extremes.
        face_pixels: Height of the face from chin to hairline, in pixels of a 490-pixel-high image.
        key_light: Strength of the directional light.
        ambient: Strength of the ambient light.
        light_yaw: Largest angle of the light to a side, in degrees.
        background: Grey level of the background, 0 to 1.
        gain: Factor on the image.
        gamma: Exponent from linear light to grey level.
        blur: Standard deviation of the lens's blur, in pixels of a 490-pixel-high image.
        noise: Standard deviation of the camera's noise, in grey levels of 0..255.
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        short_share: Share of sequences with 6 to 9 frames; only CK+'s layout has any.
        mean_extra_frames: Mean number of frames beyond 10 in the others, and beyond 9 in Oulu-CASIA's layout; not
            used for videos.
        max_frames: Length of the longest sequence.
    """

    intensity: Range = (0.75, 1.1)
    contempt_intensity: Range = (0.9, 1.25)
    action_gain: float = 0.2
    action_jitter: float = 0.15
    action_dropout: float = 0.02
    action_noise: float = 0.15
    num_noise_actions: int = 3
    blend: float = 0.1
    asymmetry: float = 0.25
    onset: Range = (0.05, 0.35)
    apex: Range = (0.75, 1.0)
    resting_action: float = 0.1

    head_yaw: float = 9.0
    head_pitch: float = 7.0
    head_roll: float = 5.0
    head_drift: float = 4.0
    gaze: float = 0.3
    blink: float = 0.15
    shape_spread: float = 0.3

    face_pixels: Range = (205.0, 255.0)
    key_light: Range = (0.45, 0.85)
    ambient: Range = (0.3, 0.55)
    light_yaw: float = 45.0
    background: Range = (0.25, 0.75)
    gain: Range = (0.9, 1.15)
    gamma: Range = (0.75, 1.0)
    blur: Range = (0.5, 1.0)
    noise: Range = (1.0, 3.0)

    width: int = 640
    height: int = 490
    short_share: float = 0.05
    mean_extra_frames: float = 2.5
    max_frames: int = 22


@dataclass(frozen=True, slots=True)
class VideoSettings(TwinSettings):
    """Difficulty, variety and size of a twin of talking people, rendered as videos.

    The expression rises between `onset` and `apex` and fades between `release` and `rest`. Videos have
    between three quarters of `max_frames` and `max_frames` frames.

    Attributes:
        release: When the expression starts to fade, as a fraction of the video.
        rest: When it has faded, as a fraction of the video.
        speech: Factor on the mouth's movement while talking.
        syllables: Syllables per second.
        num_takes: Number of videos per person and emotion.
    """

    onset: Range = (0.0, 0.1)
    apex: Range = (0.25, 0.4)
    blink: float = 0.4
    gaze: float = 0.2
    max_frames: int = 48

    release: Range = (0.65, 0.8)
    rest: Range = (0.9, 1.0)
    speech: float = 1.0
    syllables: Range = (4.0, 6.5)
    num_takes: int = 1
