"""Codes of DICOM results: what our names, units, views, segments and classes are called in standard vocabularies.

Codes are those of DICOM PS3.16 (context groups 12200 to 12203, 12226, 12227, 12300, 12304, 12305, 12309, 12310), from
DCM, LOINC (LN) and SNOMED CT (SCT); units are UCUM. What has no standard code gets one of our own scheme.
"""

from __future__ import annotations

from pydicom.sr.coding import Code

from echomotion.core import Layer, Measurement, View
from echomotion.core.masks import LEFT_ATRIUM, LV_CAVITY, LV_MYOCARDIUM

# Designator of the scheme for what has no standard code; private ones start with 99.
OWN = "99ECHOMOTION"

IMAGE_VIEW = Code("111031", "DCM", "Image View")
METHOD = Code("370129005", "SCT", "Measurement Method")
FINDING_SITE = Code("363698007", "SCT", "Finding Site")
MEASUREMENT_GROUP = Code("125007", "DCM", "Measurement Group")
COMMENT = Code("121106", "DCM", "Comment")
ENGLISH = Code("en", "RFC5646", "English")
ECHOCARDIOGRAPHY = Code("40701008", "SCT", "Echocardiography")
MEAN = Code("373098007", "SCT", "Mean")
LEFT_VENTRICLE = Code("87878005", "SCT", "Left ventricle")
ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
SEGMENTATION = Code("113076", "DCM", "Segmentation")
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")

# What every number says about itself beside the standard items.
NAME = Code("name", OWN, "Name in echomotion")
STATUS = Code("status", OWN, "Status")
REASON = Code("reason", OWN, "Reason of the status")
IN_WORDS = Code("method", OWN, "Method in words")
UNIT = Code("unit", OWN, "Unit")
FRAMES = Code("frames", OWN, "Frames, counted from 1")
LOW = Code("interval_low", OWN, "Lower end of the 95 % interval")
HIGH = Code("interval_high", OWN, "Upper end of the 95 % interval")
BEAT = Code("beat", OWN, "Beat, counted from 1")

VIEWS: dict[View, Code] = {
    View.A4C: Code("399214001", "SCT", "Apical four chamber"),
    View.A2C: Code("399232001", "SCT", "Apical two chamber"),
    View.A3C: Code("399339008", "SCT", "Apical long axis"),
    View.PLAX: Code("399139001", "SCT", "Parasternal long axis"),
    View.PSAX: Code("399306005", "SCT", "Parasternal short axis"),
    View.RV_FOCUSED: Code("130681", "DCM", "Apical four chamber RV Focused"),
    View.UNKNOWN: Code("view_not_stated", OWN, "View not stated"),
}

LAYERS: dict[str, Code] = {
    Layer.ENDOCARDIAL: Code("130683", "DCM", "Endocardial Method"),
    Layer.MID_WALL: Code("130685", "DCM", "Myocardial Midlayer Method"),
    Layer.EPICARDIAL: Code("130684", "DCM", "Epicardial Method"),
}

_SITES = {
    "basal_anterior": "264850008 SCT",
    "basal_anteroseptal": "396482007 SCT",
    "basal_inferoseptal": "396646008 SCT",
    "basal_inferior": "264846001 SCT",
    "basal_inferolateral": "396652009 SCT",
    "basal_anterolateral": "396654005 SCT",
    "mid_anterior": "264848000 SCT",
    "mid_anteroseptal": "396647004 SCT",
    "mid_inferoseptal": "396649001 SCT",
    "mid_inferior": "264847005 SCT",
    "mid_inferolateral": "396655006 SCT",
    "mid_anterolateral": "396656007 SCT",
    "apical_anterior": "264844003 SCT",
    "apical_septal": "264845002 SCT",
    "apical_inferior": "264849008 SCT",
    "apical_lateral": "264853005 SCT",
    "apical_anteroseptal": "130620 DCM",
    "apical_inferoseptal": "130621 DCM",
    "apical_inferolateral": "130622 DCM",
    "apical_anterolateral": "130623 DCM",
}
SEGMENTS: dict[str, Code] = {
    name: Code(*code.split(), f"left ventricle {name.replace('_', ' ')} segment") for name, code in _SITES.items()
} | {"apex": Code("128564006", "SCT", "Apex of left ventricle")}

STRUCTURES: dict[str, Code] = {
    LV_CAVITY: LEFT_VENTRICLE,
    LV_MYOCARDIUM: Code("49848007", "SCT", "Left Ventricle Myocardium"),
    LEFT_ATRIUM: Code("82471001", "SCT", "Left atrium"),
}

UNITS: dict[str, Code] = {
    "%": Code("%", "UCUM", "Percent"),
    "mm": Code("mm", "UCUM", "millimeter"),
    "mL": Code("mL", "UCUM", "milliliter"),
    "mL/m2": Code("mL/m2", "UCUM", "milliliter per square meter"),
    "cm2": Code("cm2", "UCUM", "square centimeter"),
    "s": Code("s", "UCUM", "second"),
    "1/s": Code("/s", "UCUM", "per second"),
    "bpm": Code("{H.B.}/min", "UCUM", "beats per minute"),
    "g": Code("g", "UCUM", "gram"),
    "g/m2": Code("g/m2", "UCUM", "gram per square meter"),
    "1": Code("1", "UCUM", "no units"),
    "px": Code("{pixels}", "UCUM", "pixels"),
    "px2": Code("{square_pixels}", "UCUM", "square pixels"),
    "px3": Code("{cubic_pixels}", "UCUM", "cubic pixels"),
}

# Concepts that hold whatever the view and the method.
_CONCEPTS = {
    "heart_rate": Code("8867-4", "LN", "Heart rate"),
    "stroke_volume": Code("90096001", "SCT", "Stroke Volume"),
    "end_diastolic_volume": Code("18026-5", "LN", "Left Ventricular End Diastolic Volume"),
    "end_systolic_volume": Code("18148-7", "LN", "Left Ventricular End Systolic Volume"),
    "ejection_fraction": Code("18043-0", "LN", "Left Ventricular Ejection Fraction by US"),
    "longitudinal_strain": Code("130670", "DCM", "Longitudinal Lagrangian Strain"),
    "global_longitudinal_strain": Code("130670", "DCM", "Longitudinal Lagrangian Strain"),
    "peak_longitudinal_strain": Code("130671", "DCM", "Peak Longitudinal Lagrangian Strain"),
    "time_to_peak_longitudinal_strain": Code("130672", "DCM", "Time to Peak Longitudinal Lagrangian Strain"),
    "mechanical_dispersion": Code("130673", "DCM", "Mechanical Dispersion"),
    "wall_motion_score_index": Code("125202", "DCM", "LV Wall Motion Score Index"),
    "fractional_shortening": Code("18051-3", "LN", "Left Ventricular Fractional Shortening"),
    "lv_internal_diameter_diastole": Code("29436-3", "LN", "Left Ventricle Internal End Diastolic Dimension"),
    "lv_internal_diameter_systole": Code("29438-9", "LN", "Left Ventricle Internal Systolic Dimension"),
    "septal_thickness_diastole": Code("18154-5", "LN", "Interventricular Septum Diastolic Thickness"),
    "posterior_wall_thickness_diastole": Code("18152-9", "LN", "Left Ventricle Posterior Wall Diastolic Thickness"),
}
# By method of disks, per view; None is the biplane one.
_DISKS: dict[tuple[str, View | None], Code] = {
    ("end_diastolic_volume", View.A4C): Code("79999-9", "LN", "LV end diastolic volume single plane 4C (MOD)"),
    ("end_diastolic_volume", View.A2C): Code("79998-1", "LN", "LV end diastolic volume single plane 2C (MOD)"),
    ("end_diastolic_volume", None): Code("79996-5", "LN", "LV end diastolic volume biplane (MOD)"),
    ("end_systolic_volume", View.A4C): Code("80004-5", "LN", "LV end systolic volume single plane 4C (MOD)"),
    ("end_systolic_volume", View.A2C): Code("80003-7", "LN", "LV end systolic volume single plane 2C (MOD)"),
    ("end_systolic_volume", None): Code("80001-1", "LN", "LV end systolic volume biplane (MOD)"),
    ("ejection_fraction", View.A4C): Code("79993-2", "LN", "LV ejection fraction single plane 4C (MOD)"),
    ("ejection_fraction", View.A2C): Code("79992-4", "LN", "LV ejection fraction single plane 2C (MOD)"),
    ("ejection_fraction", None): Code("79991-6", "LN", "LV ejection fraction biplane (MOD)"),
}
# Along the endocardium, per view; None is the mean of the views.
_GLS: dict[tuple[str, View | None], Code] = {
    ("global_longitudinal_strain", View.A4C): Code("130687", "DCM", "LV End-systolic GLS 4CH (Endocardial)"),
    ("global_longitudinal_strain", View.A2C): Code("130688", "DCM", "LV End-systolic GLS 2CH (Endocardial)"),
    ("global_longitudinal_strain", View.A3C): Code("130689", "DCM", "LV End-systolic GLS ALAX (Endocardial)"),
    ("global_longitudinal_strain", None): Code("130686", "DCM", "LV End-systolic GLS Multiview Mean (Endocardial)"),
    ("peak_longitudinal_strain", View.A4C): Code("130695", "DCM", "LV Peak GLS 4CH (Endocardial)"),
    ("peak_longitudinal_strain", View.A2C): Code("130696", "DCM", "LV Peak GLS 2CH (Endocardial)"),
    ("peak_longitudinal_strain", View.A3C): Code("130697", "DCM", "LV Peak GLS ALAX (Endocardial)"),
    ("peak_longitudinal_strain", None): Code("130694", "DCM", "LV Peak GLS Multiview Mean (Endocardial)"),
}


def concept_of(measurement: Measurement) -> Code:
    """What a measurement is called: by view, layer and method where a code says so, else in general, else our own."""
    name, key = measurement.name, (measurement.name, measurement.view)
    if "natural strain" in measurement.method.lower():
        # The standard codes are of Lagrangian strain.
        return own(name)
    if measurement.layer == Layer.ENDOCARDIAL and measurement.segment is None and key in _GLS:
        return _GLS[key]
    if "disk" in measurement.method and key in _DISKS:
        return _DISKS[key]
    return _CONCEPTS.get(name) or own(name)


def own(name: str) -> Code:
    """A code of our own scheme for a name that no standard vocabulary has."""
    return Code(name, OWN, name.replace("_", " ").capitalize())


def unit_code(unit: str) -> Code:
    """A unit in UCUM; one that is not known becomes an annotation, which has no dimension."""
    return UNITS.get(unit) or Code("{" + unit.strip("{} ").replace(" ", "_") + "}", "UCUM", unit)
