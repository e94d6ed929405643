"""Why a network says what it says of a clip: where and when its evidence is, and whether that can be believed."""
