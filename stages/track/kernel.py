"""The simulator S of equation (11): articulated-body algorithm with implicit joint springs and contact, one Warp kernel.

All substeps of a chunk run in one launch, one thread a world, and Warp derives the adjoint. Every quantity is expressed in
world-aligned axes about the bone's own joint point: about a common point the inertia of a small distant bone would drown
in the float32 rounding of mass times squared distance.

A twist is (w, v): angular velocity and velocity of the joint point. A wrench is (n, f): moment about it and force. The
articulated inertia of a subtree is [[A, B], [B^T, M]] with n = A alpha + B a + p_n, f = B^T alpha + M a + p_f.

Rules that keep Warp's adjoint right: values that cross an iteration live in arrays indexed [step, world, bone], each
stored once and afterwards only added to; functions that write to arrays do not exist (the adjoint calls them again).
For the same reason the steps of `rollout` stay in the kernel: with two of them in functions, which return the same bits, the
adjoint computes them twice and takes 6 % longer.
"""

from __future__ import annotations

import warp as wp

# loops stay loops and functions stay functions: unrolled and inlined the module compiles many times longer
wp.set_module_options({"max_unroll": 0, "enable_backward": True, "fast_math": False})


@wp.struct
class Physics:
    """Constants of the world and of the virtual springs, SI units."""

    time_step: float
    gravity: float
    contact_stiffness: float  # N/m at one corner
    contact_ease: float  # m, depth over which the stiffness grows
    contact_damping: float  # s/m, Hunt-Crossley: force x (1 - damping x separation speed)
    rescue_speed: float  # m/s, at which a corner is pushed out of the ground at most
    friction: float
    slip_speed: float  # m/s, below it friction falls off linearly
    fastest: float  # rad/s, of the root and of joints about an axis
    grip: float  # kg, of inertia that friction adds to a corner in a step, at most
    upright_stiffness: float  # N m/rad
    upright_damping: float  # N m s/rad
    up: wp.vec3  # world up at the start, in the root's frame
    bones: int
    hold: int  # substeps a control knot is held


@wp.struct
class Bones:
    """The body; vectors in the bone's compound-axes frame, origin at its joint. Shapes (J,), contiguous."""

    parent: wp.array(dtype=int)
    offset: wp.array(dtype=wp.vec3)  # joint from the parent's joint, in the parent's frame
    axes: wp.array(dtype=wp.mat33)  # the frame at rest in the parent's frame
    mass: wp.array(dtype=float)
    center: wp.array(dtype=wp.vec3)
    inertia: wp.array(dtype=wp.mat33)  # about the centre of mass
    corner: wp.array2d(dtype=wp.vec3)  # (J, 8)
    radius: wp.array(dtype=float)  # of the farthest corner from the joint
    stiffness: wp.array(dtype=float)
    damping: wp.array(dtype=float)
    armature: wp.array(dtype=wp.vec3)
    effort: wp.array(dtype=float)  # N m, largest torque of the joint's spring and damper about an axis
    lower: wp.array(dtype=wp.vec3)
    upper: wp.array(dtype=wp.vec3)


@wp.struct
class State:
    """Generalized coordinates and velocities. Shapes (T+1, E) and (T+1, E, J); controls (C, E, J)."""

    position: wp.array2d(dtype=wp.vec3)
    rotation: wp.array2d(dtype=wp.quat)
    velocity: wp.array2d(dtype=wp.vec3)
    spin: wp.array2d(dtype=wp.vec3)
    angle: wp.array3d(dtype=wp.vec3)
    rate: wp.array3d(dtype=wp.vec3)
    control: wp.array3d(dtype=wp.vec3)


@wp.struct
class Scratch:
    """What the passes hand to each other. Shapes (T, E, J)."""

    turn: wp.array3d(dtype=wp.mat33)
    joint: wp.array3d(dtype=wp.vec3)
    spin: wp.array3d(dtype=wp.vec3)
    velocity: wp.array3d(dtype=wp.vec3)
    arm: wp.array3d(dtype=wp.vec3)
    axes: wp.array3d(dtype=wp.mat33)
    bias_spin: wp.array3d(dtype=wp.vec3)
    bias: wp.array3d(dtype=wp.vec3)
    a: wp.array3d(dtype=wp.mat33)
    b: wp.array3d(dtype=wp.mat33)
    m: wp.array3d(dtype=wp.mat33)
    moment: wp.array3d(dtype=wp.vec3)
    force: wp.array3d(dtype=wp.vec3)
    inverse: wp.array3d(dtype=wp.mat33)
    torque: wp.array3d(dtype=wp.vec3)
    alpha: wp.array3d(dtype=wp.vec3)
    accel: wp.array3d(dtype=wp.vec3)


@wp.func
def spd_inverse(s: wp.mat33):
    """Inverse of a symmetric positive definite matrix by LDL^T, from its upper triangle."""
    d0 = s[0, 0]
    l10 = s[0, 1] / d0
    l20 = s[0, 2] / d0
    d1 = s[1, 1] - l10 * s[0, 1]
    e21 = s[1, 2] - l10 * s[0, 2]
    l21 = e21 / d1
    d2 = s[2, 2] - l20 * s[0, 2] - l21 * e21
    # rows of L^-1: (1,0,0), (-l10,1,0), (k20,-l21,1); the inverse is L^-T D^-1 L^-1
    k20 = l10 * l21 - l20
    i0 = 1.0 / d0
    i1 = 1.0 / d1
    i2 = 1.0 / d2
    x01 = -l10 * i1 - k20 * l21 * i2
    x02 = k20 * i2
    x12 = -l21 * i2
    return wp.mat33(i0 + l10 * l10 * i1 + k20 * k20 * i2, x01, x02, x01, i1 + l21 * l21 * i2, x12, x02, x12, i2)


@wp.func_grad(spd_inverse)
def adj_spd_inverse(s: wp.mat33, adj_ret: wp.mat33) -> None:
    """d(S^-1) = -S^-1 dS S^-1: cheaper than the adjoint of the elimination, in time and in code to compile."""
    x = spd_inverse(s)
    wp.adjoint[s] -= x * adj_ret * x


@wp.func
def joint_axes(q: wp.vec3):
    """The three rotation axes of the compound joint before its own turn: columns e0, Rx e1, Rx Ry e2."""
    sx = wp.sin(q[0])
    cx = wp.cos(q[0])
    sy = wp.sin(q[1])
    cy = wp.cos(q[1])
    return wp.mat33(1.0, 0.0, sy, 0.0, cx, -sx * cy, 0.0, sx, cx * cy)


@wp.func
def joint_turn(q: wp.vec3):
    """Rx(q0) Ry(q1) Rz(q2)."""
    sx = wp.sin(q[0])
    cx = wp.cos(q[0])
    sy = wp.sin(q[1])
    cy = wp.cos(q[1])
    sz = wp.sin(q[2])
    cz = wp.cos(q[2])
    return wp.mat33(
        cy * cz, -cy * sz, sy,
        cx * sz + sx * sy * cz, cx * cz - sx * sy * sz, -sx * cy,
        sx * sz - cx * sy * cz, sx * cz + cx * sy * sz, cx * cy,
    )  # fmt: skip


@wp.func
def joint_bias(axes: wp.mat33, qd: wp.vec3, w: wp.vec3):
    """d(axes)/dt qd: angular acceleration of the bone that the turning axes cause at qdd = 0."""
    j0 = wp.vec3(axes[0, 0], axes[1, 0], axes[2, 0]) * qd[0]
    j1 = wp.vec3(axes[0, 1], axes[1, 1], axes[2, 1]) * qd[1]
    j2 = wp.vec3(axes[0, 2], axes[1, 2], axes[2, 2]) * qd[2]
    return wp.cross(w, j0 + j1 + j2) + wp.cross(j0, j1 + j2) + wp.cross(j1, j2)


@wp.func
def outside(q: float, low: float, high: float):
    """How far q is beyond its limits, signed."""
    return wp.max(q - high, 0.0) + wp.min(q - low, 0.0)


@wp.func
def contact_force(physics: Physics, press: float, v: wp.vec3):
    """Force on a corner, and the diagonal of -dt df/dv that makes the step implicit in it.

    `press` > 0 is the depth that the corner would reach by the end of the step. The spring is soft at first touch
    (its stiffness grows over `contact_ease`), so that neither force nor implicit part jumps when a contact begins.
    """
    dt = physics.time_step
    damp = wp.max(1.0 - physics.contact_damping * v[1], 0.0)
    ease = press / (press + physics.contact_ease)
    load = physics.contact_stiffness * press * ease
    normal = load * damp
    bound = physics.friction * normal
    # beside more inertia than `grip` that of a small foot is rounding: under a great load it creeps faster instead
    drag = bound / (wp.sqrt(v[0] * v[0] + v[2] * v[2] + physics.slip_speed * physics.slip_speed) + dt * bound / physics.grip)
    slope = physics.contact_stiffness * damp * ease * (2.0 - ease)
    stiff = dt * slope + wp.where(damp > 0.0, physics.contact_damping * load, 0.0)
    return wp.vec3(-drag * v[0], normal, -drag * v[2]), wp.vec3(dt * drag, dt * stiff, dt * drag)


@wp.func
def joint_torque(physics: Physics, ke: float, kd: float, effort: float, target: wp.vec3, q: wp.vec3, qd: wp.vec3, low: wp.vec3, high: wp.vec3):
    """Equation (12) with the spring evaluated after the step and its effort bounded, plus the limits.

    Returns the torque and the diagonal of -dt d(torque)/d(qd); at bounded effort that of the unbounded, which is safe.
    """
    dt = physics.time_step
    over = wp.vec3(outside(q[0], low[0], high[0]), outside(q[1], low[1], high[1]), outside(q[2], low[2], high[2]))
    # a limit is a spring as stiff as four joint springs
    wall = wp.vec3(wp.where(over[0] != 0.0, 4.0 * ke, 0.0), wp.where(over[1] != 0.0, 4.0 * ke, 0.0), wp.where(over[2] != 0.0, 4.0 * ke, 0.0))
    drive = ke * (target - q - dt * qd) - kd * qd
    drive = wp.vec3(wp.clamp(drive[0], -effort, effort), wp.clamp(drive[1], -effort, effort), wp.clamp(drive[2], -effort, effort))
    torque = drive - 4.0 * ke * over - dt * wp.cw_mul(wall, qd)
    soft = dt * (kd + dt * ke)
    return torque, wp.vec3(soft, soft, soft) + dt * dt * wall


@wp.func
def bounded(rate: wp.vec3, most: float):
    """The rate with each component between -most and most: what turns half a radian in a step gains energy and explodes."""
    return wp.vec3(wp.clamp(rate[0], -most, most), wp.clamp(rate[1], -most, most), wp.clamp(rate[2], -most, most))


@wp.kernel
def rollout(first: int, last: int, physics: Physics, bones: Bones, state: State, scratch: Scratch):
    """Substeps first..last-1 of every world."""
    world = wp.tid()
    dt = physics.time_step
    one = wp.identity(n=3, dtype=float)
    up = wp.vec3(0.0, 1.0, 0.0)
    down = wp.vec3(0.0, -physics.gravity, 0.0)
    for step in range(first, last):
        # outward: poses and velocities
        for bone in range(physics.bones):
            if bone == 0:
                scratch.turn[step, world, 0] = wp.quat_to_matrix(state.rotation[step, world])
                scratch.joint[step, world, 0] = state.position[step, world]
                scratch.spin[step, world, 0] = state.spin[step, world]
                scratch.velocity[step, world, 0] = state.velocity[step, world]
            else:
                parent = bones.parent[bone]
                turn = scratch.turn[step, world, parent]
                w = scratch.spin[step, world, parent]
                q = state.angle[step, world, bone]
                qd = state.rate[step, world, bone]
                r = turn * bones.offset[bone]
                frame = turn * bones.axes[bone]
                axes = frame * joint_axes(q)
                scratch.turn[step, world, bone] = frame * joint_turn(q)
                scratch.joint[step, world, bone] = scratch.joint[step, world, parent] + r
                scratch.spin[step, world, bone] = w + axes * qd
                scratch.velocity[step, world, bone] = scratch.velocity[step, world, parent] + wp.cross(w, r)
                scratch.arm[step, world, bone] = r
                scratch.axes[step, world, bone] = axes
                scratch.bias_spin[step, world, bone] = joint_bias(axes, qd, w)
                scratch.bias[step, world, bone] = wp.cross(w, wp.cross(w, r))
        # inertia, gravity and contact of each bone alone
        for bone in range(physics.bones):
            turn_own = scratch.turn[step, world, bone]
            w_own = scratch.spin[step, world, bone]
            m_own = bones.mass[bone]
            c_own = turn_own * bones.center[bone]
            k_own = wp.skew(c_own)
            b_own = m_own * k_own
            a_own = turn_own * bones.inertia[bone] * wp.transpose(turn_own) - b_own * k_own
            n_own = wp.cross(w_own, a_own * w_own) - m_own * wp.cross(c_own, down)
            f_own = m_own * (wp.cross(w_own, wp.cross(w_own, c_own)) - down)
            if bone == 0:
                # upright help: a spring from the root's up direction to the world's, implicit
                tilt = wp.cross(turn_own * physics.up, up)
                lag = w_own - up * wp.dot(w_own, up)
                scratch.a[step, world, 0] = a_own + dt * (physics.upright_damping + dt * physics.upright_stiffness) * one
                scratch.moment[step, world, 0] = n_own - physics.upright_stiffness * (tilt - dt * lag) + physics.upright_damping * w_own
            else:
                scratch.a[step, world, bone] = a_own
                scratch.moment[step, world, bone] = n_own
            scratch.b[step, world, bone] = b_own
            scratch.m[step, world, bone] = m_own * one
            scratch.force[step, world, bone] = f_own
            x_own = scratch.joint[step, world, bone]
            v_own = scratch.velocity[step, world, bone]
            reach = bones.radius[bone]
            if x_own[1] < reach + dt * (wp.length(v_own) + reach * wp.length(w_own)):
                for corner in range(8):
                    arm_own = turn_own * bones.corner[bone, corner]
                    v_corner = v_own + wp.cross(w_own, arm_own)
                    press = wp.min(-(x_own[1] + arm_own[1]), dt * physics.rescue_speed) - dt * v_corner[1]
                    if press > 0.0:
                        push, give = contact_force(physics, press, v_corner)
                        ka = wp.skew(arm_own)
                        km = ka * wp.diag(give)
                        wp.atomic_add(scratch.a, step, world, bone, -(km * ka))
                        wp.atomic_add(scratch.b, step, world, bone, km)
                        wp.atomic_add(scratch.m, step, world, bone, wp.diag(give))
                        wp.atomic_add(scratch.moment, step, world, bone, -wp.cross(arm_own, push))
                        wp.atomic_add(scratch.force, step, world, bone, -push)
        # inward: articulated inertia, eliminating each joint
        for back in range(1, physics.bones):
            child = physics.bones - back
            above = bones.parent[child]
            a_sub = scratch.a[step, world, child]
            b_sub = scratch.b[step, world, child]
            m_sub = scratch.m[step, world, child]
            n_sub = scratch.moment[step, world, child]
            f_sub = scratch.force[step, world, child]
            axes_sub = scratch.axes[step, world, child]
            torque, soft = joint_torque(
                physics,
                bones.stiffness[child],
                bones.damping[child],
                bones.effort[child],
                state.control[step // physics.hold, world, child],
                state.angle[step, world, child],
                state.rate[step, world, child],
                bones.lower[child],
                bones.upper[child],
            )
            inverse = spd_inverse(wp.transpose(axes_sub) * (a_sub * axes_sub) + wp.diag(soft + bones.armature[child]))
            left = torque - wp.transpose(axes_sub) * n_sub
            scratch.inverse[step, world, child] = inverse
            scratch.torque[step, world, child] = left
            h = axes_sub * (inverse * left)
            # what the joint leaves of the inertia I, as (1 - K S^T) I (1 - K S^T)^T + K D K^T: of I - K S^T I the little that
            # is left beside the large inertia of a foot that rubs is rounding, indefinite, and the body explodes
            give_sub = wp.diag(soft + bones.armature[child])
            solved = axes_sub * inverse
            ka_sub = a_sub * solved
            kb_sub = wp.transpose(b_sub) * solved
            keep = one - ka_sub * wp.transpose(axes_sub)
            b_left = b_sub - a_sub * (axes_sub * wp.transpose(kb_sub))
            kd_sub = ka_sub * give_sub
            drop = kb_sub * wp.transpose(axes_sub)
            a2 = keep * a_sub * wp.transpose(keep) + kd_sub * wp.transpose(ka_sub)
            b2 = keep * b_left + kd_sub * wp.transpose(kb_sub)
            m2 = m_sub - drop * b_left - wp.transpose(drop * b_sub) + kb_sub * give_sub * wp.transpose(kb_sub)
            cw = scratch.bias_spin[step, world, child]
            cv = scratch.bias[step, world, child]
            n2 = n_sub + a2 * cw + b2 * cv + a_sub * h
            f2 = f_sub + wp.transpose(b2) * cw + m2 * cv + wp.transpose(b_sub) * h
            # from the child's joint point to the parent's
            r_sub = scratch.arm[step, world, child]
            k_sub = wp.skew(r_sub)
            b3 = b2 + k_sub * m2
            wp.atomic_add(scratch.a, step, world, above, a2 - b2 * k_sub + k_sub * wp.transpose(b3))
            wp.atomic_add(scratch.b, step, world, above, b3)
            wp.atomic_add(scratch.m, step, world, above, m2)
            wp.atomic_add(scratch.moment, step, world, above, n2 + wp.cross(r_sub, f2))
            wp.atomic_add(scratch.force, step, world, above, f2)
        # the root moves freely: solve its 6x6 system by Schur complement
        root_b = scratch.b[step, world, 0]
        root_f = scratch.force[step, world, 0]
        bm = root_b * spd_inverse(scratch.m[step, world, 0])
        alpha = spd_inverse(scratch.a[step, world, 0] - bm * wp.transpose(root_b)) * (bm * root_f - scratch.moment[step, world, 0])
        accel = -(spd_inverse(scratch.m[step, world, 0]) * (root_f + wp.transpose(root_b) * alpha))
        scratch.alpha[step, world, 0] = alpha
        scratch.accel[step, world, 0] = accel
        spin = bounded(state.spin[step, world] + dt * alpha, physics.fastest)
        velocity = state.velocity[step, world] + dt * accel
        rotation = state.rotation[step, world]
        state.spin[step + 1, world] = spin
        state.velocity[step + 1, world] = velocity
        state.position[step + 1, world] = state.position[step, world] + dt * velocity
        state.rotation[step + 1, world] = wp.normalize(rotation + wp.quat(spin * (0.5 * dt), 0.0) * rotation)
        # outward: joint accelerations, semi-implicit step
        for bone in range(1, physics.bones):
            parent_out = bones.parent[bone]
            axes_out = scratch.axes[step, world, bone]
            alpha_p = scratch.alpha[step, world, parent_out]
            beta = alpha_p + scratch.bias_spin[step, world, bone]
            accel_b = scratch.accel[step, world, parent_out] + wp.cross(alpha_p, scratch.arm[step, world, bone]) + scratch.bias[step, world, bone]
            load = scratch.a[step, world, bone] * beta + scratch.b[step, world, bone] * accel_b
            qdd = scratch.inverse[step, world, bone] * (scratch.torque[step, world, bone] - wp.transpose(axes_out) * load)
            rate = bounded(state.rate[step, world, bone] + dt * qdd, physics.fastest)
            scratch.alpha[step, world, bone] = beta + axes_out * qdd
            scratch.accel[step, world, bone] = accel_b
            state.rate[step + 1, world, bone] = rate
            state.angle[step + 1, world, bone] = state.angle[step, world, bone] + dt * rate


@wp.func
def finite3(v: wp.vec3):
    """The vector, or zero where it is not finite."""
    return wp.where(wp.isfinite(v), v, wp.vec3(0.0, 0.0, 0.0))


@wp.func
def finite4(v: wp.quat):
    """The quaternion, or zero where it is not finite."""
    return wp.where(wp.isfinite(v), v, wp.quat(0.0, 0.0, 0.0, 0.0))


@wp.kernel(enable_backward=False)
def clip(step: int, bones: int, limit: float, adjoint: State):
    """Scale the adjoint of the state at `step` to at most `limit` in norm; what is not finite becomes zero."""
    world = wp.tid()
    p = finite3(adjoint.position[step, world])
    v = finite3(adjoint.velocity[step, world])
    w = finite3(adjoint.spin[step, world])
    r = finite4(adjoint.rotation[step, world])
    total = wp.dot(p, p) + wp.dot(v, v) + wp.dot(w, w) + wp.dot(r, r)
    for bone in range(bones):
        q = finite3(adjoint.angle[step, world, bone])
        qd = finite3(adjoint.rate[step, world, bone])
        total += wp.dot(q, q) + wp.dot(qd, qd)
    scale = 1.0
    if limit > 0.0:
        # a norm that overflows gives scale 0
        scale = wp.min(1.0, limit / wp.max(wp.sqrt(total), 1.0e-30))
    adjoint.position[step, world] = scale * p
    adjoint.velocity[step, world] = scale * v
    adjoint.spin[step, world] = scale * w
    adjoint.rotation[step, world] = scale * r
    for bone in range(bones):
        adjoint.angle[step, world, bone] = scale * finite3(adjoint.angle[step, world, bone])
        adjoint.rate[step, world, bone] = scale * finite3(adjoint.rate[step, world, bone])
