#include "imagesvc/oci_image/manifest.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "imagesvc/oci_image/media_type.h"

namespace berth {
namespace {

std::string D(char c) { return "sha256:" + std::string(64, c); }

// Single quotes for double ones; @a … @f for digests.
std::string J(std::string text) {
  for (char c = 'a'; c <= 'f'; ++c) text = absl::StrReplaceAll(text, {{absl::StrCat("@", std::string(1, c)), D(c)}});
  return absl::StrReplaceAll(text, {{"'", "\""}});
}

const std::string kManifest = J(R"({'schemaVersion':2,'mediaType':'application/vnd.oci.image.manifest.v1+json',
  'config':{'mediaType':'application/vnd.oci.image.config.v1+json','digest':'@a','size':7},
  'layers':[{'mediaType':'application/vnd.oci.image.layer.v1.tar+gzip','digest':'@b','size':32654,'urls':['http://evil/'],
             'annotations':{'k':'v','n':null}},
            {'mediaType':'application/vnd.oci.image.layer.v1.tar+zstd','digest':'@c','size':0}],
  'subject':{'mediaType':'application/vnd.oci.image.manifest.v1+json','digest':'@d','size':1},'annotations':null})");

const std::string kIndex = J(R"({'schemaVersion':2,'mediaType':'application/vnd.oci.image.index.v1+json','manifests':[
  {'mediaType':'application/vnd.oci.image.manifest.v1+json','digest':'@a','size':1,
   'platform':{'os':'linux','architecture':'arm64','variant':'v8'}},
  {'mediaType':'application/vnd.oci.image.manifest.v1+json','digest':'@b','size':2,
   'platform':{'os':'linux','architecture':'amd64'}},
  {'mediaType':'application/vnd.oci.image.manifest.v1+json','digest':'@c','size':3,
   'platform':{'os':'linux','architecture':'amd64','variant':'v3'}},
  {'mediaType':'application/vnd.oci.image.index.v1+json','digest':'@d','size':4},
  {'mediaType':'application/vnd.oci.image.manifest.v1+json','digest':'@e','size':5,
   'platform':{'os':'unknown','architecture':'unknown'},'annotations':{'vnd.docker.reference.type':'attestation-manifest'}},
  {'mediaType':'application/x-odd','digest':'@f','size':6,'platform':{'os':'linux','architecture':'amd64'}}]})");

Platform Amd64(const std::string& variant) {
  Platform platform;
  platform.os = "linux";
  platform.architecture = "amd64";
  platform.variant = variant;
  return platform;
}

TEST(Manifest, ReadsWhatItNeeds) {
  const auto manifest = ParseManifest(kOciManifest, kManifest);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_TRUE(manifest->IsImage());
  EXPECT_EQ(manifest->config.digest.text(), D('a'));
  EXPECT_EQ(manifest->config.size, 7u);
  ASSERT_EQ(manifest->layers.size(), 2u);
  EXPECT_EQ(manifest->layers[0].size, 32654u);
  EXPECT_EQ(manifest->layers[0].annotations.at("k"), "v");
  EXPECT_EQ(manifest->layers[1].digest.text(), D('c'));
  ASSERT_TRUE(manifest->subject.has_value());
  EXPECT_EQ(manifest->subject->digest.text(), D('d'));
}

TEST(Manifest, TheTransportMayBeVague) {
  for (const char* type : {"", "application/json", "application/octet-stream", "text/plain; charset=utf-8"}) {
    EXPECT_EQ(*ClassifyDocument(type, kManifest), DocumentKind::kManifest) << type;
    EXPECT_EQ(*ClassifyDocument(type, kIndex), DocumentKind::kIndex) << type;
  }
  EXPECT_EQ(*ClassifyDocument("application/vnd.oci.image.manifest.v1+json; charset=utf-8", kManifest),
            DocumentKind::kManifest);
}

TEST(Manifest, ABodyWithoutMediaTypeIsWhatItWasServedAs) {
  const std::string manifest = J("{'schemaVersion':2,'config':{'mediaType':'x','digest':'@a','size':1},'layers':[]}");
  const std::string index = J("{'schemaVersion':2,'manifests':[]}");
  EXPECT_EQ(ParseManifest(kDockerManifest, manifest)->media_type, kDockerManifest);
  EXPECT_EQ(ParseManifest("", manifest)->media_type, kOciManifest);
  EXPECT_FALSE(ParseManifest("", manifest)->IsImage());
  EXPECT_EQ(ParseIndex(kDockerList, index)->media_type, kDockerList);
  EXPECT_EQ(ParseIndex("", index)->media_type, kOciIndex);
  EXPECT_FALSE(ParseManifest(kOciIndex, manifest).ok());
  EXPECT_FALSE(ParseIndex(kOciManifest, index).ok());
}

TEST(Manifest, TwoReadingsOfOneDocumentAreRefused) {
  const std::pair<absl::string_view, std::string> cases[] = {
      {kOciIndex, kManifest},
      {kOciManifest, kIndex},
      {kDockerManifest, kManifest},
      {"text/html", kManifest},
      {kOciManifest,
       J("{'schemaVersion':2,'config':{'mediaType':'x','digest':'@a','size':1},'layers':[],'manifests':[]}")},
      {kOciIndex, J("{'schemaVersion':2,'manifests':[],'layers':[]}")},
      {kOciIndex, J("{'schemaVersion':2,'manifests':[],'config':{}}")},
      {kOciManifest, J("{'schemaVersion':2,'config':{'mediaType':'x','digest':'@a','size':1},'fsLayers':[]}")},
      {kOciManifest,
       J("{'schemaVersion':2,'layers':[],'layers':[],'config':{'mediaType':'x','digest':'@a','size':1}}")},
      {"", J("{'schemaVersion':2,'config':{'mediaType':'x','digest':'@a','size':1},'layers':[],'manifests':[]}")},
  };
  for (const auto& [type, body] : cases) {
    EXPECT_EQ(ClassifyDocument(type, body).status().code(), absl::StatusCode::kInvalidArgument) << type << " " << body;
  }
}

TEST(Manifest, Schema1IsRefusedByName) {
  for (const auto& [type, body] :
       {std::pair<absl::string_view, std::string>{kDockerSchema1Signed, J("{'schemaVersion':1}")},
        {"", J("{'schemaVersion':1,'fsLayers':[]}")},
        {kDockerSchema1, J("{'schemaVersion':2}")}}) {
    const auto kind = ClassifyDocument(type, body);
    EXPECT_EQ(kind.status().code(), absl::StatusCode::kUnimplemented) << type;
    EXPECT_TRUE(absl::StrContains(kind.status().message(), "schema 1"));
  }
}

TEST(Manifest, MalformedDocumentsAreRefused) {
  const std::string config = "'config':{'mediaType':'x','digest':'@a','size':1}";
  for (const std::string& body : {
           std::string(),
           std::string("[]"),
           std::string("{"),
           std::string("{}"),
           J("{'schemaVersion':3," + config + "}"),
           J("{'schemaVersion':'2'," + config + "}"),
           J("{'schemaVersion':2,'layers':[]}"),
           J("{'schemaVersion':2,'config':[]}"),
           J("{'schemaVersion':2," + config + ",'layers':{}}"),
           J("{'schemaVersion':2," + config + ",'layers':[1]}"),
           J("{'schemaVersion':2," + config + ",'layers':[null]}"),
           J("{'schemaVersion':2,'config':{'mediaType':'x','digest':'@a','size':-1}}"),
           J("{'schemaVersion':2,'config':{'mediaType':'x','digest':'@a','size':1.5}}"),
           J("{'schemaVersion':2,'config':{'mediaType':'x','digest':'@a','size':18446744073709551615}}"),
           J("{'schemaVersion':2,'config':{'mediaType':'x','digest':'@a'}}"),
           J("{'schemaVersion':2,'config':{'mediaType':'x','digest':'sha256:../../x','size':1}}"),
           J("{'schemaVersion':2,'config':{'mediaType':'x','size':1}}"),
           J("{'schemaVersion':2,'config':{'mediaType':1,'digest':'@a','size':1}}"),
           J("{'schemaVersion':2,'config':{'mediaType':'a\\u0000b','digest':'@a','size':1}}"),
           J("{'schemaVersion':2,'config':{'mediaType':'x','digest':'@a','size':4194305}}"),
           J("{'schemaVersion':2," + config + ",'annotations':{'a':1}}"),
       }) {
    EXPECT_EQ(ParseManifest("", body).status().code(), absl::StatusCode::kInvalidArgument) << body;
  }
}

std::string WithLayers(size_t count) {
  std::string layers;
  for (size_t i = 0; i < count; ++i)
    absl::StrAppend(&layers, i == 0 ? "" : ",", J("{'mediaType':'x','digest':'@b','size':1}"));
  return absl::StrCat(J("{'schemaVersion':2,'config':{'mediaType':'x','digest':'@a','size':1},'layers':["), layers,
                      "]}");
}

TEST(Manifest, LimitsHold) {
  EXPECT_TRUE(ParseManifest("", WithLayers(kMaxLayers)).ok());
  EXPECT_FALSE(ParseManifest("", WithLayers(kMaxLayers + 1)).ok());
  EXPECT_FALSE(ParseManifest("", kManifest + std::string(kMaxManifestBytes, ' ')).ok());
  EXPECT_FALSE(ParseManifest("", std::string(100000, '[')).ok());
}

TEST(Index, RanksByPlatform) {
  const auto index = ParseIndex(kOciIndex, kIndex);
  ASSERT_TRUE(index.ok()) << index.status();
  EXPECT_EQ(index->manifests.size(), 6u);
  const auto ranked = RankManifests(*index, Amd64("v3"));
  ASSERT_EQ(ranked.size(), 3u);
  EXPECT_EQ(ranked[0].digest.text(), D('c'));
  EXPECT_EQ(ranked[1].digest.text(), D('b'));
  EXPECT_EQ(ranked[2].digest.text(), D('d'));
  EXPECT_EQ(ChoosePlatform(*index, Amd64(""))->digest.text(), D('b'));
}

TEST(Index, NoMatchNamesWhatThereIs) {
  auto index = ParseIndex(kOciIndex, kIndex);
  ASSERT_TRUE(index.ok());
  index->manifests.erase(index->manifests.begin() + 3);  // the nested index
  Platform s390x;
  s390x.os = "linux";
  s390x.architecture = "s390x";
  const auto chosen = ChoosePlatform(*index, s390x);
  EXPECT_EQ(chosen.status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(chosen.status().message(), "linux/s390x")) << chosen.status();
  EXPECT_TRUE(absl::StrContains(chosen.status().message(), "linux/arm64/v8")) << chosen.status();
  EXPECT_FALSE(absl::StrContains(chosen.status().message(), "unknown")) << chosen.status();
}

}  // namespace
}  // namespace berth
