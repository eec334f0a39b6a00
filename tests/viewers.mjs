// What dcmjs, the adapters of Cornerstone3D and OHIF's extension for reports make of our SEG and SR, as JSON.
//
//     node viewers.mjs FOLDER      FOLDER holds seg.dcm, sr.dcm and the slices of the source in raw/
//
// node_modules beside this file holds the packages that `.ci/run` names. Nothing is drawn: there is no browser.
import fs from "fs";
import Module, { createRequire } from "module";
import path from "path";

const require = createRequire(import.meta.url);
console.log = console.info = console.warn = console.debug = console.error; // stdout is for the JSON alone
const dcmjs = require("dcmjs");
const { metaData, utilities } = await import("@cornerstonejs/core");
const adapters = await import("@cornerstonejs/adapters");
const folder = process.argv[2];
const version = (name) => JSON.parse(fs.readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version;

const bytes = (name) => new Uint8Array(fs.readFileSync(path.join(folder, name))).buffer;
const parse = (name) => dcmjs.data.DicomMetaDictionary.naturalizeDataset(dcmjs.data.DicomMessage.readFile(bytes(name)).dict);
const list = (items) => (items === undefined ? [] : Array.isArray(items) ? [...items] : [items]);
const one = (items) => list(items)[0];
const code = (items) => one(items) && `${one(items).CodingSchemeDesignator}:${one(items).CodeValue}`;
const numbers = (values) => list(values).map(Number);

// The corners of a plane and the steps along its rows and columns, then the places (x, y, z) of marked pixels.
function placesOn(orientation, spacing, position, columns, pixels, is) {
    const [along, down] = [orientation.slice(0, 3), orientation.slice(3)];
    const places = [];
    pixels.forEach((value, n) => {
        if (value !== is) return;
        const [j, i] = [Math.floor(n / columns), n % columns];
        places.push(position.map((x, axis) => x + along[axis] * spacing[1] * i + down[axis] * spacing[0] * j));
    });
    return places;
}

const segmentOf = (item) => ({
    number: item.SegmentNumber,
    label: item.SegmentLabel,
    rgb: dcmjs.data.Colors.dicomlab2RGB(item.RecommendedDisplayCIELabValue).map((share) => share * 255),
    tracking: [item.TrackingID, item.TrackingUID],
    type: code(item.SegmentedPropertyTypeCodeSequence),
    site: [code(item.AnatomicRegionSequence), code(one(item.AnatomicRegionSequence).AnatomicRegionModifierSequence)],
});

function segmentsOfDcmjs(seg) {
    const shared = one(seg.SharedFunctionalGroupsSequence);
    const orientation = numbers(one(shared.PlaneOrientationSequence).ImageOrientationPatient);
    const spacing = numbers(one(shared.PixelMeasuresSequence).PixelSpacing);
    const pixels = dcmjs.data.BitArray.unpack(one(seg.PixelData));
    const size = seg.Rows * seg.Columns;
    const places = {};
    list(seg.PerFrameFunctionalGroupsSequence).forEach((frame, n) => {
        const number = one(frame.SegmentIdentificationSequence).ReferencedSegmentNumber;
        const position = numbers(one(frame.PlanePositionSequence).ImagePositionPatient);
        const marked = [...pixels.subarray(n * size, (n + 1) * size)];
        (places[number] ??= []).push(...placesOn(orientation, spacing, position, seg.Columns, marked, 255));
    });
    return list(seg.SegmentSequence).map((item) => ({ ...segmentOf(item), places: places[item.SegmentNumber] }));
}

// Modules of the source's headers, as a viewer's image loader gives them.
const sources = fs.readdirSync(path.join(folder, "raw")).sort().map((name) => parse(`raw/${name}`));
const byId = new Map(sources.map((header) => [`wadors:${header.SOPInstanceUID}`, header]));
function modulesOf(kind, id) {
    const header = byId.get(id);
    if (header === undefined) return undefined;
    const orientation = numbers(header.ImageOrientationPatient);
    const [rowPixelSpacing, columnPixelSpacing] = numbers(header.PixelSpacing);
    return {
        instance: header,
        generalImageModule: { sopInstanceUID: header.SOPInstanceUID },
        generalSeriesModule: { seriesInstanceUID: header.SeriesInstanceUID, modality: "CT" },
        imagePlaneModule: {
            rows: header.Rows, columns: header.Columns, frameOfReferenceUID: header.FrameOfReferenceUID,
            imageOrientationPatient: orientation, rowCosines: orientation.slice(0, 3), columnCosines: orientation.slice(3),
            imagePositionPatient: numbers(header.ImagePositionPatient),
            pixelSpacing: [rowPixelSpacing, columnPixelSpacing], rowPixelSpacing, columnPixelSpacing,
        },
    }[kind];
}
metaData.addProvider(modulesOf);

async function segmentsOfAdapters() {
    const read = adapters.adaptersSEG.Cornerstone3D.Segmentation.createFromDICOMSegBuffer;
    const made = await read([...byId.keys()], bytes("seg.dcm"), { metadataProvider: metaData });
    return made.segMetadata.data.filter(Boolean).map((item) => {
        const places = sources.flatMap((header, k) => {
            const plane = modulesOf("imagePlaneModule", `wadors:${header.SOPInstanceUID}`);
            return made.labelMapImages.flatMap((group) => placesOn(plane.imageOrientationPatient, plane.pixelSpacing,
                plane.imagePositionPatient, plane.columns, [...group[k].getPixelData()], item.SegmentNumber));
        });
        return { ...segmentOf(item), places };
    });
}

function groupsOfDcmjs(sr) {
    const named = (items, value) => list(items).filter((item) => code(item.ConceptNameCodeSequence) === value);
    const groups = named(sr.ContentSequence, "DCM:126010").flatMap((all) => named(all.ContentSequence, "DCM:125007"));
    return {
        evidence: list(sr.CurrentRequestedProcedureEvidenceSequence).flatMap((study) => list(study.ReferencedSeriesSequence))
            .flatMap((series) => list(series.ReferencedSOPSequence)).map((item) => item.ReferencedSOPInstanceUID),
        groups: groups.map(({ ContentSequence: items }) => {
            const site = one(named(items, "SCT:363698007"));
            const segment = one(named(items, "DCM:121191"));
            return {
                tracking: [one(named(items, "DCM:112039")).TextValue, one(named(items, "DCM:112040")).UID],
                type: code(one(named(items, "DCM:121071")).ConceptCodeSequence),
                site: [code(site.ConceptCodeSequence), code(one(named(site.ContentSequence, "SCT:272741003"))?.ConceptCodeSequence)],
                segment: segment && numbers(one(segment.ReferencedSOPSequence).ReferencedSegmentNumber)[0],
                centre: numbers(one(named(items, "DCM:111010"))?.GraphicData),
                measured: list(items).filter((item) => item.ValueType === "NUM").map((item) => {
                    const value = one(item.MeasuredValueSequence);
                    const unit = one(value.MeasurementUnitsCodeSequence).CodeValue;
                    return [code(item.ConceptNameCodeSequence), Number(value.NumericValue), unit];
                }),
            };
        }),
    };
}

// OHIF's handler of reports, in place of whose user interface stands an object that answers everything.
async function listedByOhif(sr, series) {
    const anything = new Proxy(function () {}, { get: (_, key) => (key === "__esModule" ? false : anything), apply: () => anything });
    const uids = dcmjs.data.DicomMetaDictionary.sopClassUIDsByName;
    const classes = { BasicTextSR: uids.BasicTextSR, EnhancedSR: uids.EnhancedSR, ComprehensiveSR: uids.ComprehensiveSR,
        Comprehensive3DSR: "1.2.840.10008.5.1.4.1.1.88.34" };
    const core = {
        utils: { sopClassDictionary: classes, sortStudyInstances: (x) => x, sortDisplaySetsCopy: (x) => [...x], guid: () => "sr" },
        classes: { MetadataProvider: { getUIDsFromImageID: (id) => ({ SOPInstanceUID: id }) } },
    };
    const drawn = [];
    const tools = {
        AnnotationTool: class {},
        annotation: { state: { addAnnotation: (made) => drawn.push(made) } },
    };
    const answersAll = (known) => new Proxy(known, { get: (_, key) => known[key] ?? anything });
    const given = { "@ohif/core": answersAll(core), "@cornerstonejs/tools": answersAll(tools),
        "@cornerstonejs/core": { utilities, metaData }, "@cornerstonejs/adapters": adapters };
    const load = Module._load;
    Module._load = (name, ...more) => (/^(@ohif\/(core|ui|i18n|extension-cornerstone$)|@cornerstonejs\/|gl-matrix)/.test(name)
        ? given[name] ?? anything : load(name, ...more));
    globalThis.self = globalThis.window = globalThis;
    const extension = require("@ohif/extension-cornerstone-dicom-sr").default;
    const displaySetService = { activeDisplaySets: series, EVENTS: {}, subscribe() {} };
    const services = { displaySetService, measurementService: { getSourceMappings: () => [] },
        customizationService: { getCustomization() {} } };
    const extensionManager = { getDataSources: () => [{ getImageIdsForDisplaySet: (of) => of.images }] };
    const handlers = extension.getSopClassHandlerModule({ servicesManager: { services }, extensionManager });
    const handler = handlers.find((each) => each.sopClassUids.includes(sr.SOPClassUID));
    const [displaySet] = handler.getDisplaySetsFromSeries([sr]);
    let error = null;
    await displaySet.load().catch((problem) => { error = String(problem); });
    Module._load = load;
    return {
        error,
        listed: displaySet.measurements.map((each) => ({ tracking: [each.TrackingIdentifier, each.TrackingUniqueIdentifier],
            labels: each.labels.map(({ label, value }) => [label, value]), places: each.coords.map((at) => numbers(at.GraphicData)) })),
        images: displaySet.referencedImages.length,
        drawn: drawn.map((each) => ({ uid: each.annotationUID, at: [...each.metadata.planeRestriction.point] })),
    };
}

const sr = parse("sr.dcm");
const ct = { displaySetInstanceUID: "ct", FrameOfReferenceUID: sources[0].FrameOfReferenceUID, images: [...byId.keys()] };
const scout = { displaySetInstanceUID: "scout", FrameOfReferenceUID: "1.2.3", images: [] };
const answer = {
    versions: Object.fromEntries(["dcmjs", "@cornerstonejs/adapters", "@ohif/extension-cornerstone-dicom-sr"].map((name) => [name, version(name)])),
    dcmjs: { segments: segmentsOfDcmjs(parse("seg.dcm")), report: groupsOfDcmjs(sr) },
    adapters: {
        segments: await segmentsOfAdapters().catch((problem) => (console.error(problem), null)),
        annotations: adapters.adaptersSR.Cornerstone3D.MeasurementReport.generateToolState(sr, {}, metaData),
    },
    ohif: { ctFirst: await listedByOhif(sr, [ct]), scoutFirst: await listedByOhif(sr, [scout, ct]) },
};
process.stdout.write(JSON.stringify(answer) + "\n", () => process.exit(0));
