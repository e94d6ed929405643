"""Warp kernels: a depth buffer, and shading with paint computed per pixel.

Brows, hairline, iris, lashes and stubble are functions of the point's position on MakeHuman's *template*, which is
interpolated over the triangle: they are crisp at any size and move with the blend shapes. Image coordinates are
columns and rows in pixels; `depth` grows towards the viewer.
"""

# mypy: ignore-errors
# Warp compiles this file from its source: the annotations are array specifications, not Python types.

from __future__ import annotations

import warp as wp

from fer3d.twin.head_model import EYE, MOUTH, TEETH

_EYE, _TEETH, _MOUTH = wp.constant(EYE), wp.constant(TEETH), wp.constant(MOUTH)
# Width of the square tile of noise; a power of two, so that its coordinates wrap by a mask.
GRAIN_SIZE = 256


@wp.struct
class Paint:
    """The fields of `Look`."""

    skin: wp.float32
    lip: wp.float32
    brow: wp.float32
    brow_height: wp.float32
    brow_thickness: wp.float32
    brow_arch: wp.float32
    hair: wp.float32
    hairline: wp.float32
    iris: wp.float32
    stubble: wp.float32
    lash: wp.float32
    mottling: wp.float32
    cloth: wp.float32
    noise_shift: wp.float32


@wp.struct
class View:
    """The fields of `Shot`."""

    focal: wp.float32
    distance: wp.float32
    center_x: wp.float32
    center_y: wp.float32
    light: wp.vec3
    key: wp.float32
    ambient: wp.float32


@wp.func
def _ramp(low: wp.float32, high: wp.float32, x: wp.float32) -> wp.float32:
    t = wp.clamp((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


@wp.func
def _noise(x: wp.float32, y: wp.float32, grain: wp.array2d(dtype=wp.float32)) -> wp.float32:
    column = wp.int32(wp.floor(x))
    row = wp.int32(wp.floor(y))
    s = x - wp.float32(column)
    t = y - wp.float32(row)
    top = wp.lerp(grain[row & 255, column & 255], grain[row & 255, (column + 1) & 255], s)
    low = wp.lerp(grain[(row + 1) & 255, column & 255], grain[(row + 1) & 255, (column + 1) & 255], s)
    return wp.lerp(top, low, t)


@wp.func
def _eye_albedo(rest: wp.vec3, paint: Paint) -> wp.float32:
    # The centre and radius of the template's eyeballs; its irises look straight ahead.
    off = wp.length(wp.vec2(wp.abs(rest[0]) - 0.3078, rest[1] - 7.2841))
    sclera = 0.52 - 0.22 * _ramp(0.07, 0.14, off)
    iris = wp.lerp(paint.iris, paint.iris * 0.35, _ramp(0.048, 0.06, off))
    albedo = wp.lerp(iris, sclera, _ramp(0.056, 0.066, off))
    return wp.lerp(0.01, albedo, _ramp(0.020, 0.027, off))


@wp.func
def _brow_cover(rest: wp.vec3, paint: Paint, grain: wp.float32) -> wp.float32:
    along = (wp.abs(rest[0]) - 0.11) / 0.46
    arch = paint.brow_arch * (1.0 - (along - 0.6) * (along - 0.6) / 0.36)
    middle = 7.455 + paint.brow_height + arch - 0.035 * along
    thickness = paint.brow_thickness * (1.0 - 0.6 * _ramp(0.45, 1.0, along))
    across = wp.abs(rest[1] - middle) / thickness
    ends = _ramp(-0.08, 0.08, along) * (1.0 - _ramp(0.9, 1.08, along))
    front = _ramp(0.6, 0.9, rest[2])
    return ends * front * (1.0 - _ramp(0.6, 1.2, across + 0.35 * grain))


@wp.func
def _skin_albedo(rest: wp.vec3, patch: wp.vec3, paint: Paint, grain: wp.array2d(dtype=wp.float32)) -> wp.float32:
    """Paints the skin; `patch` holds how much the point is lip, inside of the mouth and ear."""
    x = rest[0] + 0.5 * rest[2] + paint.noise_shift
    y = rest[1] + 0.3 * rest[2]
    coarse = 0.5 * _noise(x * 7.0, y * 7.0, grain)
    fine = 0.5 * _noise(x * 45.0, y * 45.0, grain)
    albedo = paint.skin * (1.0 + paint.mottling * (coarse + 0.5 * fine))
    beard = _ramp(-0.55, 0.1, 6.75 - rest[1] - 0.6 * (1.0 - _ramp(0.15, 0.55, wp.abs(rest[0])))) * _ramp(
        0.3, 0.8, rest[2]
    )
    beard = beard * _ramp(5.9, 6.15, rest[1])
    albedo = albedo * (1.0 - paint.stubble * beard * (0.8 + 0.5 * fine))
    eye = wp.vec3(wp.abs(rest[0]) - 0.3078, rest[1] - 7.2841, rest[2] - 1.2454)
    lash = (1.0 - _ramp(0.160, 0.185, wp.length(eye))) * paint.lash
    albedo = albedo * (1.0 - lash)
    albedo = wp.lerp(albedo, paint.lip, _ramp(0.3, 0.8, patch[0]))
    albedo = wp.lerp(albedo, paint.brow, 0.9 * _brow_cover(rest, paint, fine))
    scalp = rest[1] - (7.98 + paint.hairline + 0.85 * (rest[2] - 1.25)) - 0.25 * wp.abs(rest[0]) + 0.05 * coarse
    strands = 0.75 + 0.5 * wp.abs(_noise(x * 40.0, y * 6.0, grain))
    albedo = wp.lerp(albedo, paint.hair * strands, _ramp(-0.03, 0.05, scalp) * (1.0 - _ramp(0.05, 0.3, patch[2])))
    albedo = wp.lerp(albedo, 0.06, _ramp(0.3, 0.9, patch[1]))
    collar = 5.72 - 0.35 * _ramp(0.3, 0.8, rest[2]) + 0.12 * wp.abs(rest[0]) - rest[1]
    return wp.lerp(albedo, paint.cloth, _ramp(-0.01, 0.01, collar))


@wp.func
def _albedo(
    material: wp.int32, rest: wp.vec3, patch: wp.vec3, paint: Paint, grain: wp.array2d(dtype=wp.float32)
) -> wp.float32:
    if material == _EYE:
        return _eye_albedo(rest, paint)
    if material == _TEETH:
        return 0.7 * _ramp(0.9, 1.45, rest[2])
    if material == _MOUTH:
        return 0.16 * _ramp(0.7, 1.4, rest[2])
    return _skin_albedo(rest, patch, paint, grain)


@wp.func
def _mix(
    corners: wp.array(dtype=wp.vec3), a: wp.int32, b: wp.int32, c: wp.int32, u: wp.float32, v: wp.float32
) -> wp.vec3:
    return corners[a] * u + corners[b] * v + corners[c] * (1.0 - u - v)


@wp.func
def _edge(a: wp.vec3, b: wp.vec3, x: wp.float32, y: wp.float32) -> wp.float32:
    return (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])


@wp.kernel(enable_backward=False)
def rasterise(
    projected: wp.array(dtype=wp.vec3),
    triangles: wp.array(dtype=wp.int32),
    depth: wp.array2d(dtype=wp.float32),
    faces: wp.array2d(dtype=wp.int32),
):
    """Keeps the nearest triangle of each pixel. A CPU launch runs the triangles in order, so nothing races."""
    face = wp.tid()
    a = projected[triangles[3 * face]]
    b = projected[triangles[3 * face + 1]]
    c = projected[triangles[3 * face + 2]]
    area = _edge(a, b, c[0], c[1])
    if wp.abs(area) < 1.0e-9:
        return
    left = wp.max(wp.int32(wp.floor(wp.min(wp.min(a[0], b[0]), c[0]))), 0)
    top = wp.max(wp.int32(wp.floor(wp.min(wp.min(a[1], b[1]), c[1]))), 0)
    right = wp.min(wp.int32(wp.ceil(wp.max(wp.max(a[0], b[0]), c[0]))), depth.shape[1])
    bottom = wp.min(wp.int32(wp.ceil(wp.max(wp.max(a[1], b[1]), c[1]))), depth.shape[0])
    for row in range(top, bottom):
        for column in range(left, right):
            x = wp.float32(column) + 0.5
            y = wp.float32(row) + 0.5
            u = _edge(b, c, x, y) / area
            v = _edge(c, a, x, y) / area
            if u >= 0.0 and v >= 0.0 and u + v <= 1.0:
                z = u * a[2] + v * b[2] + (1.0 - u - v) * c[2]
                if z > depth[row, column]:
                    depth[row, column] = z
                    faces[row, column] = face


@wp.func
def _lit(at: wp.vec3, shadows: wp.array2d(dtype=wp.float32)) -> wp.float32:
    """Returns the share of the light that reaches a point given in the shadow map's pixels."""
    reached = wp.float32(0.0)
    for i in range(-1, 2):
        for j in range(-1, 2):
            row = wp.clamp(wp.int32(at[1]) + i * 2, 0, shadows.shape[0] - 1)
            column = wp.clamp(wp.int32(at[0]) + j * 2, 0, shadows.shape[1] - 1)
            reached = reached + 1.0 - _ramp(0.04, 0.10, shadows[row, column] - at[2])
    return reached / 9.0


@wp.func
def _reflect(
    material: wp.int32, albedo: wp.float32, normal: wp.vec3, ray: wp.vec3, lit: wp.float32, view: View
) -> wp.float32:
    """Adds up ambient, direct and mirrored light, all of them grey."""
    key = wp.max(wp.dot(normal, view.light), 0.0) * (0.3 + 0.7 * lit)
    sky = 0.75 + 0.25 * normal[1] + 0.15 * normal[2]
    # Warp has no `in`.
    if material == _TEETH or material == _MOUTH:  # noqa: SIM109
        sky = sky * 0.55
    gloss = wp.max(wp.dot(normal, wp.normalize(view.light - ray)), 0.0)
    shine = 0.05 * wp.pow(gloss, 18.0)
    if material == _EYE:
        shine = 0.9 * wp.pow(gloss, 120.0)
    return albedo * (view.ambient * sky + view.key * key) + view.key * shine


@wp.kernel(enable_backward=False)
def shade(
    faces: wp.array2d(dtype=wp.int32),
    projected: wp.array(dtype=wp.vec3),
    triangles: wp.array(dtype=wp.int32),
    materials: wp.array(dtype=wp.int32),
    rests: wp.array(dtype=wp.vec3),
    patches: wp.array(dtype=wp.vec3),
    normals: wp.array(dtype=wp.vec3),
    lightward: wp.array(dtype=wp.vec3),
    shadows: wp.array2d(dtype=wp.float32),
    grain: wp.array2d(dtype=wp.float32),
    paint: Paint,
    view: View,
    image: wp.array2d(dtype=wp.float32),
):
    """Writes the light of each pixel; -1 where no triangle was kept."""
    row, column = wp.tid()
    face = faces[row, column]
    if face < 0:
        image[row, column] = -1.0
        return
    a = triangles[3 * face]
    b = triangles[3 * face + 1]
    c = triangles[3 * face + 2]
    x = wp.float32(column) + 0.5
    y = wp.float32(row) + 0.5
    area = _edge(projected[a], projected[b], projected[c][0], projected[c][1])
    u = _edge(projected[b], projected[c], x, y) / area
    v = _edge(projected[c], projected[a], x, y) / area

    ray = wp.normalize(wp.vec3((x - view.center_x) / view.focal, (view.center_y - y) / view.focal, -1.0))
    normal = wp.normalize(_mix(normals, a, b, c, u, v))
    if wp.dot(normal, ray) > 0.0:
        normal = -normal
    material = materials[face]
    albedo = _albedo(material, _mix(rests, a, b, c, u, v), _mix(patches, a, b, c, u, v), paint, grain)
    lit = _lit(_mix(lightward, a, b, c, u, v), shadows)
    image[row, column] = _reflect(material, albedo, normal, ray, lit, view)
