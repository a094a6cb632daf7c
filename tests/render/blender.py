"""Run by a Python that has Blender's `bpy`: imports a file and prints where its vertices and joints are, frame by frame.

python blender.py FILE FPS FRAMES -> one JSON object: {"vertices": F x V x 3, "joints": {name: F x 3}, "still": {mesh: V x 3}} in the
file's axes (+Y up); "still" are the meshes that no skeleton moves.
"""

import json
import sys

import bpy


def turned(point):
    """Blender's +Z up to +Y up."""
    return [point.x, point.z, -point.y]


def main(path, fps, frames):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = fps
    first = 0
    if path.endswith(".glb"):
        bpy.ops.import_scene.gltf(filepath=path)
    elif path.endswith(".bvh"):
        first = 1
        bpy.ops.import_anim.bvh(filepath=path, axis_forward="-Z", axis_up="Y", frame_start=first)
    else:
        bpy.ops.wm.usd_import(filepath=path)
    # the importer of glTF adds a mesh of its own to draw bones with
    meshes = [thing for thing in scene.objects if thing.type == "MESH" and any(m.type == "ARMATURE" for m in thing.modifiers)]
    armatures = [thing for thing in scene.objects if thing.type == "ARMATURE"]
    still = [thing for thing in scene.objects if thing.type == "MESH" and not thing.modifiers and thing.name in bpy.context.view_layer.objects]
    places = {thing.name: [turned(thing.matrix_world @ vertex.co) for vertex in thing.data.vertices] for thing in still}
    result = {"still": places, "vertices": [], "joints": {bone.name: [] for bone in armatures[0].pose.bones}}
    for frame in range(frames):
        scene.frame_set(first + frame)
        graph = bpy.context.evaluated_depsgraph_get()
        posed = []
        for thing in meshes:
            evaluated = thing.evaluated_get(graph)
            posed += [turned(evaluated.matrix_world @ vertex.co) for vertex in evaluated.to_mesh().vertices]
        result["vertices"].append(posed)
        for bone in armatures[0].pose.bones:
            result["joints"][bone.name].append(turned(armatures[0].matrix_world @ bone.head))
    print("RESULT" + json.dumps(result))


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
